//! How near decoded pictures are to their source. Pure.
//!
//! PSNR is of the mean squared error of all samples of a plane, over all pictures. SSIM (Wang et al.,
//! "Image quality assessment: from error visibility to structural similarity", 2004) is of luma, the
//! mean over windows of 8x8 samples that lie 4 apart, over all pictures; the statistics of a window
//! are unbiased and all its samples weigh the same. FFmpeg's filters `psnr` and `ssim` measure so too.

/// Edge of the blocks that windows are put together from: two by two of them.
const BLOCK: usize = 4;
/// Samples of a window.
const WINDOW: f64 = 64.0;
/// What keeps the quotients stable where there is nothing to see: (0.01 · 255)² and (0.03 · 255)².
const C1: f64 = 6.502_5;
const C2: f64 = 58.522_5;

/// Quality of the pictures that were added so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quality {
    planes: [Errors; 3],
    ssim: f64,
    pictures: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Errors {
    squares: u64,
    samples: u64,
}

/// Sums over a block of both pictures.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    a: u32,
    b: u32,
    squares: u32,
    products: u32,
}

impl Quality {
    /// Adds a picture: I420 without padding, of these edges, which are even and at least 8.
    pub(crate) fn add(&mut self, width: usize, height: usize, source: &[u8], decoded: &[u8]) {
        let luma = width * height;
        let bounds = [0, luma, luma + luma / 4, luma + luma / 2];
        for (plane, range) in self.planes.iter_mut().zip(bounds.windows(2)) {
            let (a, b) = (&source[range[0]..range[1]], &decoded[range[0]..range[1]]);
            let squares = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2));
            plane.squares += squares.sum::<u64>();
            plane.samples += a.len() as u64;
        }
        self.ssim += ssim(width, height, &source[..luma], &decoded[..luma]);
        self.pictures += 1;
    }

    /// Pictures so far.
    pub(crate) fn pictures(&self) -> u32 {
        self.pictures
    }

    /// Peak signal to noise ratio of Y, Cb and Cr in dB; infinite where nothing differs.
    pub(crate) fn psnr(&self) -> [f64; 3] {
        self.planes.map(|plane| {
            10.0 * (255.0_f64.powi(2) * plane.samples as f64 / plane.squares as f64).log10()
        })
    }

    /// Structural similarity of luma, 1 where nothing differs.
    pub(crate) fn ssim(&self) -> f64 {
        self.ssim / f64::from(self.pictures)
    }

    /// The same as a distance from 1, in dB: what is near to 1 would all look alike.
    pub(crate) fn ssim_db(&self) -> f64 {
        -10.0 * (1.0 - self.ssim()).log10()
    }
}

fn ssim(width: usize, height: usize, a: &[u8], b: &[u8]) -> f64 {
    let (columns, rows) = (width / BLOCK, height / BLOCK);
    let row = |number: usize| -> Vec<Sums> {
        (0..columns).map(|column| block(a, b, width, column * BLOCK, number * BLOCK)).collect()
    };
    let mut above = row(0);
    let mut sum = 0.0;
    for number in 1..rows {
        let below = row(number);
        for (above, below) in above.windows(2).zip(below.windows(2)) {
            sum += similarity(&[above[0], above[1], below[0], below[1]]);
        }
        above = below;
    }
    sum / ((columns - 1) * (rows - 1)) as f64
}

fn block(a: &[u8], b: &[u8], stride: usize, x: usize, y: usize) -> Sums {
    let mut sums = Sums::default();
    for row in y..y + BLOCK {
        let at = row * stride + x;
        for (a, b) in a[at..at + BLOCK].iter().zip(&b[at..at + BLOCK]) {
            let (a, b) = (u32::from(*a), u32::from(*b));
            sums.a += a;
            sums.b += b;
            sums.squares += a * a + b * b;
            sums.products += a * b;
        }
    }
    sums
}

/// Of one window.
fn similarity(blocks: &[Sums; 4]) -> f64 {
    let sum = |of: fn(&Sums) -> u32| f64::from(blocks.iter().map(of).sum::<u32>());
    let (a, b) = (sum(|sums| sums.a) / WINDOW, sum(|sums| sums.b) / WINDOW);
    let unbiased = |total: f64, mean: f64| (total - WINDOW * mean) / (WINDOW - 1.0);
    let variances = unbiased(sum(|sums| sums.squares), a * a + b * b);
    let covariance = unbiased(sum(|sums| sums.products), a * b);
    (2.0 * a * b + C1) * (2.0 * covariance + C2) / ((a * a + b * b + C1) * (variances + C2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 64;
    const HEIGHT: usize = 48;

    fn picture(sample: impl Fn(usize, usize, usize) -> usize) -> Vec<u8> {
        let mut picture = Vec::new();
        for (plane, scale) in [1, 2, 2].into_iter().enumerate() {
            for y in 0..HEIGHT / scale {
                for x in 0..WIDTH / scale {
                    picture.push(sample(x, y, plane) as u8);
                }
            }
        }
        picture
    }

    fn source(x: usize, y: usize, plane: usize) -> usize {
        x * 3 + y * 2 + plane * 31 + x * y % 17 * 5
    }

    fn coarse(x: usize, y: usize, plane: usize) -> usize {
        (source(x, y, plane) & 255) / 32 * 32 + (x + y + plane) % 5
    }

    /// What FFmpeg 5.1.9 says of the same two pictures:
    /// `ffmpeg -i coarse -i source -lavfi psnr -f null -`, and `ssim`.
    #[test]
    fn figures_are_those_of_ffmpeg() {
        let mut quality = Quality::default();
        quality.add(WIDTH, HEIGHT, &picture(source), &picture(coarse));
        let near = |measured: f64, told: f64, error: f64| {
            assert!((measured - told).abs() < error, "{measured} for {told}");
        };
        for (measured, told) in quality.psnr().into_iter().zip([23.833854, 23.535387, 23.552024]) {
            near(measured, told, 1e-6);
        }
        // FFmpeg's first constant is a 64th of the paper's, which counts in dark pictures only.
        near(quality.ssim(), 0.953367, 1e-5);
        near(quality.ssim_db(), 13.313064, 1e-3);
    }

    #[test]
    fn what_is_equal_is_told_so() {
        let mut quality = Quality::default();
        quality.add(WIDTH, HEIGHT, &picture(source), &picture(source));
        assert_eq!(quality.psnr(), [f64::INFINITY; 3]);
        assert!((quality.ssim() - 1.0).abs() < 1e-12);
    }

    /// One picture with an error of 2 in every sample and one without: half the squared error.
    #[test]
    fn errors_are_averaged_before_the_logarithm() {
        let mut quality = Quality::default();
        let flat = |value| picture(move |_, _, _| value);
        quality.add(WIDTH, HEIGHT, &flat(100), &flat(102));
        quality.add(WIDTH, HEIGHT, &flat(100), &flat(100));
        assert_eq!(quality.pictures(), 2);
        for psnr in quality.psnr() {
            assert!((psnr - 10.0 * (255.0_f64.powi(2) / 2.0).log10()).abs() < 1e-9);
        }
        // Without texture only the means count.
        let first = (2.0 * 100.0 * 102.0 + C1) / (100.0_f64.powi(2) + 102.0_f64.powi(2) + C1);
        assert!((quality.ssim() - f64::midpoint(first, 1.0)).abs() < 1e-9);
    }
}
