//! Texts with places that a session fills: `{width}` and the like.

use media::{FrameRate, Size};

/// What the places stand for in one session.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// `{width}` and `{height}`: the display's size in pixels when the game starts.
    pub size: Size,
    /// `{fps}`: frames per second, rounded.
    pub rate: FrameRate,
    /// `{home}`: the game's home, as the game sees it.
    pub home: &'a str,
    /// `{entry}`: the entry's folder, as the game sees it.
    pub entry: &'a str,
}

/// A text with places. `{{` and `}}` are braces that stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Place),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Width,
    Height,
    Fps,
    Home,
    Entry,
}

const PLACES: [(&str, Place); 5] = [
    ("width", Place::Width),
    ("height", Place::Height),
    ("fps", Place::Fps),
    ("home", Place::Home),
    ("entry", Place::Entry),
];

impl Template {
    /// Reads `text`.
    ///
    /// # Errors
    /// What is wrong with it, for people: a place that there is none of, a brace without its other.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let from = &rest[at..];
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push_str(&from[..1]);
                rest = after;
                continue;
            }
            let inside = from.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let Some((name, after)) = inside else {
                return Err("a brace is without its other; {{ and }} are braces that stay".into());
            };
            let Some((_, place)) = PLACES.into_iter().find(|(known, _)| *known == name) else {
                let names: Vec<_> = PLACES.iter().map(|(name, _)| *name).collect();
                let name = crate::shown(name);
                return Err(format!("{name} in braces is none of {}", names.join(", ")));
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Place(place));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// The text of one session.
    pub fn fill(&self, values: &Values<'_>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Place(Place::Width) => values.size.width.to_string(),
            Piece::Place(Place::Height) => values.size.height.to_string(),
            Piece::Place(Place::Fps) => values.rate.as_f64().round().to_string(),
            Piece::Place(Place::Home) => values.home.into(),
            Piece::Place(Place::Entry) => values.entry.into(),
        };
        self.0.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUES: Values<'static> = Values {
        size: Size::new(1280, 720),
        rate: FrameRate::fps(60),
        home: "/home/player",
        entry: "/run/nearlight/entry",
    };

    #[test]
    fn places_are_filled_and_doubled_braces_stay() {
        let text = "{width}x{height}@{fps} {home}/a {entry}/b {{x}}";
        assert_eq!(
            Template::parse(text).expect("a template").fill(&VALUES),
            "1280x720@60 /home/player/a /run/nearlight/entry/b {x}"
        );
    }

    #[test]
    fn other_places_are_refused() {
        for text in ["{", "}", "{width", "a}b", "{Width}", "{}", "{width }", "${{HOME}", "{{{"] {
            Template::parse(text).expect_err(text);
        }
    }

    proptest! {
        #[test]
        fn text_without_braces_is_taken_as_it_is(text in "[^{}]*") {
            prop_assert_eq!(Template::parse(&text).expect("a template").fill(&VALUES), text);
        }

        #[test]
        fn no_text_panics(text in "[{}a-z]*") {
            if let Ok(template) = Template::parse(&text) {
                template.fill(&VALUES);
            }
        }

        #[test]
        fn braces_written_twice_come_out_once(text in "[{}a ]*") {
            let doubled = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(Template::parse(&doubled).expect("a template").fill(&VALUES), text);
        }
    }
}
