//! What of a network without a way out the kernel counts: whatever leads nowhere in it was tried in vain.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::process::{Pid, test_kill_process};

/// Bytes that are read of a file of counters; they have about 2 and 5 kB.
const MOST: usize = 16 * 1024;
/// Of IP and IPv6: no route (`/proc/net/snmp`, `snmp6`); of TCP: connections that nobody took; of UDP: packets to nobody.
const COUNTED: [(&str, &str); 3] =
    [("Ip", "OutNoRoutes"), ("Tcp", "AttemptFails"), ("Udp", "NoPorts")];
const COUNTED_6: [&str; 2] = ["Ip6OutNoRoutes", "Udp6NoPorts"];

/// The counters of one network. They can be read for as long as this is there, also when nobody is in it any more.
#[derive(Debug)]
pub(super) struct Nowhere {
    files: [Option<File>; 2],
    told: u64,
}

impl Nowhere {
    /// Of the network that a process is in.
    ///
    /// # Errors
    /// When the process is gone, or the kernel does not show its counters.
    pub(super) fn of(pid: Pid) -> io::Result<Self> {
        let number = pid.as_raw_nonzero();
        let open = |name: &str| File::open(format!("/proc/{number}/net/{name}"));
        // Machines without IPv6 have nothing to count.
        let files = [Some(open("snmp")?), open("snmp6").ok()];
        // By now the number may be another's, whose network this would be.
        test_kill_process(pid)?;
        Ok(Self { files, told: 0 })
    }

    /// How many there were since the last call.
    pub(super) fn news(&mut self) -> u64 {
        let read = |file: &Option<File>| {
            let mut text = vec![0; MOST];
            let bytes = file.as_ref().map_or(Ok(0), |file| file.read_at(&mut text, 0)).unwrap_or(0);
            text.truncate(bytes);
            String::from_utf8(text).unwrap_or_default()
        };
        let now = counted(&read(&self.files[0])) + counted_6(&read(&self.files[1]));
        let news = now.saturating_sub(self.told);
        self.told = self.told.max(now);
        news
    }
}

/// Two lines for each protocol: names, and numbers in the same order.
fn counted(text: &str) -> u64 {
    let lines: Vec<_> = text.lines().collect();
    let protocols = lines.as_chunks::<2>().0.iter().filter_map(|[names, numbers]| {
        let (protocol, names) = names.split_once(':')?;
        let (_, numbers) = numbers.split_once(':')?;
        let pairs = names.split_whitespace().zip(numbers.split_whitespace());
        let wanted = pairs.filter(|(name, _)| COUNTED.contains(&(protocol, name)));
        Some(wanted.filter_map(|(_, number)| number.parse::<u64>().ok()).sum::<u64>())
    });
    protocols.sum()
}

/// A name and a number a line.
fn counted_6(text: &str) -> u64 {
    let pairs = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let wanted = pairs.filter(|(name, _)| COUNTED_6.contains(name));
    wanted.filter_map(|(_, number)| number.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_led_nowhere_is_added_up() {
        let text = "Ip: Forwarding OutNoRoutes InReceives\nIp: 2 3 900\n\
                    Tcp: MaxConn AttemptFails\nTcp: -1 40\n\
                    Udp: InDatagrams NoPorts InErrors\nUdp: 7 500 8\n\
                    UdpLite: InDatagrams NoPorts\nUdpLite: 0 90000\n";
        assert_eq!(counted(text), 543);
        assert_eq!(counted_6("Ip6OutNoRoutes   \t4\nIp6InReceives 70\nUdp6NoPorts\t50\n"), 54);
        for bad in ["", "Ip", "Ip: OutNoRoutes\n", "Ip: OutNoRoutes\nIp: x\n", "\n\n\n"] {
            assert_eq!(counted(bad) + counted_6(bad), 0, "{bad:?}");
        }
    }

    #[test]
    fn the_kernel_has_these_counters() {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/net/{name}")).unwrap();
        let snmp = read("snmp");
        assert!(COUNTED.iter().all(|(_, name)| snmp.contains(name)), "{snmp}");
        let mut own = Nowhere::of(rustix::process::getpid()).unwrap();
        let told = own.news() + own.news();
        assert_eq!(own.told, told, "each is told once");
    }
}
