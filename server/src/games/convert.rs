//! What converts the pictures of games: the graphics device where that saves anything, else the processor.

use std::sync::Arc;

use render::captured::CaptureStage;
use render::device::{Gpu, GpuPool};

use crate::config::GameConvert;

/// How much a graphics device is used for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Not at all.
    Never,
    /// For encoders that read its memory.
    InPlace,
    /// For all.
    Always,
}

/// How it is wished to be done on a device, and why it is done so, for people.
fn choose(wish: GameConvert, gpu: &Gpu) -> (Use, String) {
    let name = gpu.name();
    match (wish, gpu.cannot_share()) {
        (GameConvert::Cpu, _) => (Use::Never, "on the processor: games.convert is cpu".into()),
        (GameConvert::Gpu, _) => (Use::Always, format!("on {name}: games.convert is gpu")),
        (GameConvert::Auto, _) if gpu.is_software() => {
            (Use::Never, format!("on the processor: {name} is software itself"))
        }
        (GameConvert::Auto, Some(reason)) => {
            let text = format!("on the processor: no encoder reads memory of {name}: {reason}");
            (Use::Never, text)
        }
        (GameConvert::Auto, None) => {
            let text =
                format!("on {name} for encoders that read its memory, else on the processor");
            (Use::InPlace, text)
        }
    }
}

/// What does it on this node, unless the processor does.
pub(super) fn open(wish: GameConvert, pool: Arc<GpuPool>) -> Option<Arc<CaptureStage>> {
    let (chosen, why) = choose(wish, &pool.current());
    tracing::info!("pictures of games are converted {why}");
    match chosen {
        Use::Never => None,
        Use::InPlace => Some(Arc::new(CaptureStage::new(pool, false))),
        Use::Always => Some(Arc::new(CaptureStage::new(pool, true))),
    }
}

/// What `nearlight doctor` says of it.
pub(crate) fn verdict(wish: GameConvert, gpu: Option<&Gpu>) -> String {
    match gpu {
        Some(gpu) => choose(wish, gpu).1,
        None => "on the processor: there is no graphics device".into(),
    }
}

#[cfg(test)]
mod tests {
    use render::device::GpuOptions;

    use super::*;

    #[test]
    fn a_device_in_software_converts_only_where_that_is_asked_for() {
        let software = GpuOptions { adapter: Some("llvmpipe".into()), ..GpuOptions::default() };
        let gpu = Gpu::open(&software).expect("tests need lavapipe");
        let (auto, why) = choose(GameConvert::Auto, &gpu);
        assert_eq!(auto, Use::Never);
        assert!(why.contains("llvmpipe") && why.contains("software"), "{why}");
        assert_eq!(choose(GameConvert::Cpu, &gpu).0, Use::Never);
        assert_eq!(choose(GameConvert::Gpu, &gpu).0, Use::Always);
        assert!(verdict(GameConvert::Gpu, None).starts_with("on the processor: "));
    }
}
