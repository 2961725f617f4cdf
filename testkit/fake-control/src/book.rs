//! What is planned, and what has happened.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;

use crate::Effect;

/// Calls that the log keeps; the oldest go first.
const LOGGED: usize = 65_536;
/// Broken rules that are kept; the first are those that matter.
const RULES: usize = 256;

/// The calls `skip..skip + times` of a function from now on.
pub(crate) struct Plan {
    pub(crate) call: &'static str,
    pub(crate) skip: u32,
    pub(crate) times: u32,
    pub(crate) effect: Effect,
}

struct Entry {
    call: &'static str,
    result: u32,
    detail: String,
}

#[derive(Default)]
pub(crate) struct Book {
    /// How often hangs were ended.
    pub(crate) releases: u64,
    plans: Vec<Plan>,
    /// Functions that ever had one.
    planned: BTreeSet<&'static str>,
    log: VecDeque<Entry>,
    broken: Vec<String>,
}

impl Book {
    pub(crate) fn plan(&mut self, plan: Plan) {
        self.planned.insert(plan.call);
        self.plans.push(plan);
    }

    pub(crate) fn was_planned(&self, call: &str) -> bool {
        self.planned.contains(call)
    }

    /// What is planned for this call. Every plan of the function counts it; the oldest decides.
    pub(crate) fn planned(&mut self, call: &str) -> Option<Effect> {
        let mut effect = None;
        for plan in self.plans.iter_mut().filter(|plan| plan.call == call) {
            if plan.skip > 0 {
                plan.skip -= 1;
            } else if plan.times > 0 {
                plan.times -= 1;
                effect = effect.or(Some(plan.effect));
            }
        }
        self.plans.retain(|plan| plan.times > 0);
        effect
    }

    pub(crate) fn log(&mut self, call: &'static str, result: u32, detail: String) {
        if self.log.len() == LOGGED {
            self.log.pop_front();
        }
        self.log.push_back(Entry { call, result, detail });
    }

    pub(crate) fn log_text(&self) -> String {
        let mut text = String::new();
        for Entry { call, result, detail } in &self.log {
            let space = if detail.is_empty() { "" } else { " " };
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{call} {result}{space}{detail}");
        }
        text
    }

    pub(crate) fn broke(&mut self, call: &str, rule: &str) {
        if self.broken.len() < RULES {
            self.broken.push(format!("{call}: {rule}"));
        }
    }

    pub(crate) fn broken_text(&self) -> String {
        self.broken.iter().map(|rule| format!("{rule}\n")).collect()
    }
}
