//! Figures: what a run yields, and what many runs come to. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

/// Suffixes of the figures of a distribution.
pub(crate) const SPREAD: [&str; 3] = ["p50", "p95", "p99"];

/// What one run of a section measured. Names are `section.what` or `section.what.p50`.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Findings {
    pub(crate) figures: Vec<Figure>,
    pub(crate) notes: Vec<String>,
}

/// A measured figure, or the fact that there is none.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) value: Option<f64>,
}

impl Findings {
    /// Adds a figure.
    pub(crate) fn put(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        self.figures.push(Figure { name: name.into(), unit, value: Some(value) });
    }

    /// Adds median, 95th and 99th percentile and the number of values; without values they stand as not
    /// measured.
    pub(crate) fn spread(&mut self, name: &str, unit: &'static str, mut values: Vec<f64>) {
        values.sort_unstable_by(f64::total_cmp);
        for (suffix, percent) in SPREAD.into_iter().zip([50, 95, 99]) {
            let value = rank(&values, percent);
            self.figures.push(Figure { name: format!("{name}.{suffix}"), unit, value });
        }
        self.put(format!("{name}.n"), "", values.len() as f64);
    }

    /// Says that a figure was not measured, and why.
    pub(crate) fn missing(&mut self, name: &str, unit: &'static str, why: &str) {
        self.figures.push(Figure { name: name.into(), unit, value: None });
        self.note(format!("{name} was not measured: {why}"));
    }

    /// Adds a remark for the reader.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// The value that `percent` of 100 do not exceed, by nearest rank; `values` are sorted.
pub(crate) fn rank(values: &[f64], percent: usize) -> Option<f64> {
    let at = (values.len() * percent).div_ceil(100).max(1) - 1;
    values.get(at).copied()
}

/// The median of values in any order.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// What many runs of a section come to.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<String>,
}

/// One figure of all runs.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    /// Median of the runs in which it was measured.
    pub(crate) median: Option<f64>,
    /// Each run by itself.
    pub(crate) runs: Vec<Option<f64>>,
}

impl Summary {
    /// Joins the runs by name, in the order in which names first appear.
    pub(crate) fn of(runs: &[Findings]) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        let mut notes = Vec::new();
        for (index, run) in runs.iter().enumerate() {
            for figure in &run.figures {
                let row = match rows.iter_mut().find(|row| row.name == figure.name) {
                    Some(row) => row,
                    None => {
                        let (name, unit) = (figure.name.clone(), figure.unit);
                        rows.push(Row { name, unit, median: None, runs: vec![None; runs.len()] });
                        let last = rows.len() - 1;
                        &mut rows[last]
                    }
                };
                row.runs[index] = figure.value;
            }
            for note in &run.notes {
                if !notes.contains(note) {
                    notes.push(note.clone());
                }
            }
        }
        for row in &mut rows {
            let measured: Vec<_> = row.runs.iter().flatten().copied().collect();
            row.median = median(&measured);
        }
        Self { rows, notes }
    }

    /// Every figure that was measured.
    pub(crate) fn medians(&self) -> BTreeMap<String, f64> {
        let measured = |row: &Row| row.median.map(|median| (row.name.clone(), median));
        self.rows.iter().filter_map(measured).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(rank(&values, 50), Some(50.0));
        assert_eq!(rank(&values, 95), Some(95.0));
        assert_eq!(rank(&values, 99), Some(99.0));
        assert_eq!(rank(&[7.0], 99), Some(7.0));
        assert_eq!(rank(&[], 50), None);
    }

    #[test]
    fn runs_come_to_their_median_and_a_gap_stays_a_gap() {
        let run = |value: Option<f64>| {
            let mut findings = Findings::default();
            match value {
                Some(value) => findings.put("a", "ms", value),
                None => findings.missing("a", "ms", "no clock"),
            }
            findings
        };
        let summary = Summary::of(&[run(Some(3.0)), run(None), run(Some(1.0)), run(Some(9.0))]);
        assert_eq!(summary.medians()["a"], 3.0);
        assert_eq!(summary.rows[0].runs, [Some(3.0), None, Some(1.0), Some(9.0)]);
        assert_eq!(summary.notes, ["a was not measured: no clock"]);
        assert!(Summary::of(&[run(None)]).medians().is_empty());
    }

    #[test]
    fn a_distribution_without_values_has_no_percentiles() {
        let mut findings = Findings::default();
        findings.spread("x", "ms", Vec::new());
        assert!(findings.figures[..3].iter().all(|figure| figure.value.is_none()));
        assert_eq!(findings.figures[3].value, Some(0.0));
    }
}
