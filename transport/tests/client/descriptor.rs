//! Reads dependency descriptors by the syntax of the AV1 RTP specification (appendix A.8), apart from what
//! writes them.

/// What a descriptor says, with what its template does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub first: bool,
    pub last: bool,
    pub number: u16,
    /// It brings templates.
    pub templates: bool,
    /// Differences to the frames that it needs.
    pub needs: Vec<u16>,
}

#[derive(Clone, Debug, Default)]
struct Templates {
    offset: u32,
    targets: u32,
    needs: Vec<Vec<u16>>,
    chains: u32,
}

/// A receiver, which keeps the templates of the newest keyframe.
#[derive(Default)]
pub struct Reader(Option<Templates>);

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn get(&mut self, len: usize) -> u32 {
        (0..len).fold(0, |value, _| {
            let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1;
            self.at += 1;
            value << 1 | u32::from(bit)
        })
    }

    fn flag(&mut self) -> bool {
        self.get(1) == 1
    }

    /// `ns(n)`, a number below `n`.
    fn below(&mut self, n: u32) -> u32 {
        let len = (u32::BITS - n.leading_zeros()) as usize;
        let short = (1 << len) - n;
        let value = self.get(len - 1);
        if value < short { value } else { (value << 1) - short + self.get(1) }
    }

    fn templates(&mut self) -> Templates {
        let (offset, targets) = (self.get(6), self.get(5) + 1);
        let mut count = 1;
        // next_layer_idc
        while self.get(2) != 3 {
            count += 1;
        }
        for _ in 0..count * targets {
            self.get(2);
        }
        let mut needs = Vec::new();
        for _ in 0..count {
            let mut differences = Vec::new();
            while self.flag() {
                differences.push(self.get(4) as u16 + 1);
            }
            needs.push(differences);
        }
        let chains = self.below(targets + 1);
        assert_eq!(chains, 0, "this reader knows none");
        assert!(!self.flag(), "nor resolutions");
        Templates { offset, targets, needs, chains }
    }
}

impl Reader {
    pub fn read(&mut self, bytes: &[u8]) -> Descriptor {
        let mut bits = Bits { bytes, at: 0 };
        let (first, last) = (bits.flag(), bits.flag());
        let (template, number) = (bits.get(6), bits.get(16) as u16);
        let mut brings = false;
        let mut own = None;
        if bytes.len() > 3 {
            brings = bits.flag();
            let (targets, indications) = (bits.flag(), bits.flag());
            let (differences, chains) = (bits.flag(), bits.flag());
            assert!(!indications && !chains);
            if brings {
                self.0 = Some(bits.templates());
            }
            if targets {
                bits.get(self.0.as_ref().unwrap().targets as usize);
            }
            if differences {
                let mut needs = Vec::new();
                loop {
                    match bits.get(2) {
                        0 => break,
                        size => needs.push(bits.get(4 * size as usize) as u16 + 1),
                    }
                }
                own = Some(needs);
            }
        }
        // zero_padding, of less than a byte.
        assert!(8 * bytes.len() - bits.at < 8, "{bytes:x?}");
        while bits.at < 8 * bytes.len() {
            assert!(!bits.flag());
        }
        let templates = self.0.as_ref().expect("no keyframe came before");
        let index = (template + 64 - templates.offset) % 64;
        let needs = own.unwrap_or_else(|| templates.needs[index as usize].clone());
        assert_eq!(templates.chains, 0);
        Descriptor { first, last, number, templates: brings, needs }
    }
}
