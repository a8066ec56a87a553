//! Times on the command line: a moment, or how long ago.

use std::str::FromStr;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::db::{Database, Error};

/// `--since` and `--until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Named.
    At(OffsetDateTime),
    /// So long before now, by the database's clock.
    Ago(Duration),
}

impl Moment {
    /// When that is.
    pub(super) async fn on(self, database: &Database) -> Result<OffsetDateTime, Error> {
        Ok(match self {
            Self::At(at) => at,
            Self::Ago(age) => database.now().await? - age,
        })
    }
}

/// What both forms look like.
const FORMS: &str =
    "write an age such as 90s, 30min, 2h or 7d, or a moment such as 2026-01-31T08:00:00Z";

impl FromStr for Moment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self::At(at));
        }
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let seconds = match unit.trim() {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return Err(FORMS),
        };
        // A hundred years are enough, and time's own arithmetic does not overflow.
        let number: u32 = number.parse().map_err(|_| FORMS)?;
        let age = u64::from(number) * seconds;
        if age > 100 * 366 * 86400 {
            return Err(FORMS);
        }
        Ok(Self::Ago(Duration::from_secs(age)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Moment;

    fn check(text: &str, age_s: Option<u64>) {
        let expected = age_s.map(|age| Moment::Ago(Duration::from_secs(age)));
        assert_eq!(text.parse().ok(), expected, "{text}");
    }

    #[test]
    fn ages_have_a_number_and_a_unit() {
        check("90s", Some(90));
        check("30min", Some(1800));
        check("2 h", Some(7200));
        check("7d", Some(604_800));
        for wrong in ["", "7", "d", "-1h", "1y", "4000000000d", "yesterday"] {
            check(wrong, None);
        }
    }

    #[test]
    fn moments_are_rfc_3339() {
        assert!(matches!("2026-01-31T08:00:00Z".parse(), Ok(Moment::At(_))));
        assert!("2026-01-31".parse::<Moment>().is_err());
    }
}
