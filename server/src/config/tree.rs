//! Merging the layers of configuration into one tree.

use std::path::{Path, PathBuf};

use thiserror::Error;
use toml::{Table, Value};

use super::Config;

/// Prefix of environment variables.
const ENV_PREFIX: &str = "NEARLIGHT_";

/// Why a configuration is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not TOML: {why}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        why: String,
    },
    /// A key is unknown or has the wrong type.
    #[error("{why}")]
    Shape {
        /// Where and why.
        why: String,
    },
    /// A value is out of range.
    #[error("{key}: {why}")]
    Value {
        /// Which key.
        key: String,
        /// Why.
        why: String,
    },
}

/// Reads the file (if one is named), lays the environment and then `overrides` over it, and checks
/// the whole.
///
/// `overrides` are `key.path=value`.
///
/// # Errors
/// See [`ConfigError`].
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &[String],
) -> Result<Config, ConfigError> {
    let mut tree = match file {
        None => Table::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.into(), source })?;
            text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
                path: path.into(),
                why: error.to_string(),
            })?
        }
    };
    let mut environment: Vec<_> = environment.into_iter().collect();
    environment.sort();
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else { continue };
        // Two underscores part the section from the key; other variables of that prefix (the build's own) have none
        // and are not ours.
        let Some((section, key)) = rest.split_once("__") else {
            refuse_near_miss(&name, rest)?;
            continue;
        };
        let path = format!("{}.{}", section.to_lowercase(), key.to_lowercase());
        insert(&mut tree, &path, &value)?;
    }
    for entry in overrides {
        let Some((path, value)) = entry.split_once('=') else {
            return Err(ConfigError::Value {
                key: entry.clone(),
                why: "is not of the form key=value".into(),
            });
        };
        insert(&mut tree, path.trim(), value.trim())?;
    }
    let config: Config = Value::Table(tree)
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError::Shape { why: error.to_string() })?;
    config.validate()?;
    Ok(config)
}

/// A key with one underscore too few would be ignored without a word.
fn refuse_near_miss(name: &str, rest: &str) -> Result<(), ConfigError> {
    let Some((section, key)) = rest.split_once('_') else { return Ok(()) };
    let sections = Table::try_from(Config::default()).unwrap_or_default();
    let section = section.to_lowercase();
    let known = sections.get(&section).and_then(Value::as_table);
    if known.is_some_and(|keys| keys.contains_key(&key.to_lowercase())) {
        let why = format!("write {ENV_PREFIX}{}__{key}", section.to_uppercase());
        return Err(ConfigError::Value { key: name.into(), why });
    }
    Ok(())
}

fn insert(tree: &mut Table, path: &str, text: &str) -> Result<(), ConfigError> {
    let refuse = |why: &str| ConfigError::Value { key: path.into(), why: why.into() };
    let Some((section, key)) = path.split_once('.') else {
        return Err(refuse("keys look like section.key"));
    };
    let table = tree
        .entry(section)
        .or_insert_with(|| Value::Table(Table::new()))
        .as_table_mut()
        .ok_or_else(|| refuse("is not a section"))?;
    table.insert(key.into(), parse(text));
    Ok(())
}

/// A TOML value, or the text itself when it is none. Hexadecimal digits are text: hashes and keys are written so, numbers are not.
fn parse(text: &str) -> Value {
    if text.starts_with("0x") {
        return Value::String(text.into());
    }
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.into()))
}
