//! What a command answers: lines for people, or JSON.

use serde_json::{Map, Value, json};
use session::rental::Planck;

/// An answer, of fields in order.
#[derive(Debug, Default)]
pub struct Answer {
    lines: Vec<String>,
    json: Map<String, Value>,
    /// Written as it is in both forms.
    raw: Option<Vec<u8>>,
    failed: bool,
}

impl Answer {
    /// Bytes as they are.
    pub(super) fn raw(bytes: Vec<u8>) -> Self {
        Self { raw: Some(bytes), ..Self::default() }
    }

    /// A field; `key` in JSON, `name` for people.
    pub(super) fn field(mut self, key: &str, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let shown = match &value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.lines.push(format!("{name}: {shown}"));
        self.json.insert(key.to_owned(), value);
        self
    }

    /// An amount: planck as a decimal string in JSON, DBC with all digits and its unit for people.
    pub(super) fn amount(mut self, key: &str, name: &str, amount: Planck) -> Self {
        self.lines.push(format!("{name}: {} ({amount} planck)", amount.in_dbc()));
        self.json.insert(format!("{key}_planck"), json!(amount.to_string()));
        self
    }

    /// A yes or no; people read of it only where it is so.
    pub(super) fn flag(mut self, key: &str, line: &str, is_so: bool) -> Self {
        if is_so {
            self.lines.push(line.to_owned());
        }
        self.json.insert(key.to_owned(), json!(is_so));
        self
    }

    /// Things of one kind, a line each.
    pub(super) fn list(mut self, key: &str, items: Vec<(String, Value)>) -> Self {
        let (lines, values): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        self.lines.extend(lines);
        self.json.insert(key.to_owned(), Value::Array(values));
        self
    }

    /// A line for people alone.
    pub(super) fn note(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// What it says is bad: the command fails once it is written.
    pub(super) fn fails(mut self) -> Self {
        self.failed = true;
        self
    }

    /// Whether the command fails.
    pub fn is_failure(&self) -> bool {
        self.failed
    }

    /// The JSON.
    pub fn json(&self) -> Value {
        Value::Object(self.json.clone())
    }

    /// What is written.
    pub fn written(&self, as_json: bool) -> Vec<u8> {
        match (&self.raw, as_json) {
            (Some(raw), _) => raw.clone(),
            (None, true) => format!("{}\n", self.json()).into_bytes(),
            (None, false) => {
                self.lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect()
            }
        }
    }
}
