//! When production's services may be restarted without being asked for.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// When users expect interruptions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// A weekday or `daily`, and from when to when: `Sun 02:00-04:00`, in production's own time zone. May go past midnight.
    pub window: Window,
}

/// A time of each week or day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// Days since Monday; `None` for every day.
    day: Option<i64>,
    /// Minutes since midnight.
    from: i64,
    /// Minutes since midnight; before `from` on the next day.
    to: i64,
}

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY: i64 = 24 * 60;

impl Window {
    /// Whether a moment, seconds since the epoch, is within, as a clock shows it that is so many seconds ahead of UTC.
    pub fn contains(&self, now: f64, ahead: i64) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "minutes of any year fit")]
        let minutes = (now / 60.0).floor() as i64 + ahead.div_euclid(60);
        // The epoch was a Thursday.
        let since = |start: i64, period: i64| (minutes + 3 * DAY - start).rem_euclid(period);
        let length = (self.to - self.from).rem_euclid(DAY);
        match self.day {
            Some(day) => since(day * DAY + self.from, 7 * DAY) < length,
            None => since(self.from, DAY) < length,
        }
    }
}

impl TryFrom<String> for Window {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let clock = |text: &str| {
            let (hours, minutes) = text.split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
            let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
            (hours < 24 && minutes < 60).then(|| i64::from(hours) * 60 + i64::from(minutes))
        };
        let read = || {
            let (day, times) = text.split_once(' ')?;
            let (from, to) = times.split_once('-')?;
            let day = match day {
                "daily" => None,
                day => Some(i64::try_from(DAYS.iter().position(|name| *name == day)?).ok()?),
            };
            let (from, to) = (clock(from)?, clock(to)?);
            (from != to).then_some(Self { day, from, to })
        };
        read().ok_or_else(|| format!("{text:?} is not a window such as `Sun 02:00-04:00` or `daily 23:30-00:30`"))
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.day.and_then(|day| usize::try_from(day).ok()).and_then(|day| DAYS.get(day)).copied().unwrap_or("daily");
        write!(f, "{day} {:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, self.to / 60, self.to % 60)
    }
}

impl JsonSchema for Window {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Window".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(daily|Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$",
            "x-rule": "a window such as `Sun 02:00-04:00` or `daily 23:30-00:30`"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday 2026-11-30, 00:00 UTC.
    const MONDAY: f64 = 1_795_996_800.0;

    fn at(day: f64, hours: f64) -> f64 {
        MONDAY + (day * 24.0 + hours) * 3600.0
    }

    #[test]
    fn a_window_is_of_its_day_and_of_the_clock_on_the_wall() {
        let window = |text: &str| Window::try_from(text.to_owned()).unwrap();
        let sunday = window("Sun 02:00-04:00");
        assert!(sunday.contains(at(6.0, 2.0), 0) && sunday.contains(at(6.0, 3.99), 0));
        assert!(!sunday.contains(at(6.0, 4.0), 0) && !sunday.contains(at(6.0, 1.99), 0) && !sunday.contains(at(5.0, 3.0), 0));
        assert!(sunday.contains(at(6.0, 0.5), 2 * 3600), "two hours ahead of UTC");
        let night = window("Sun 23:30-00:30");
        assert!(night.contains(at(0.0, 0.25), 0) && night.contains(at(6.0, 23.75), 0) && !night.contains(at(1.0, 0.25), 0));
        let daily = window("daily 23:30-00:30");
        assert!(daily.contains(at(3.0, 0.25), 0) && daily.contains(at(3.0, 23.5), 0) && !daily.contains(at(3.0, 0.5), 0));
        assert!(daily.contains(at(3.0, 4.75), -5 * 3600), "five hours behind UTC");
    }

    #[test]
    fn what_is_no_window_is_refused_and_the_rest_is_written_as_it_was() {
        for text in ["Sun 02:00-04:00", "daily 23:30-00:30"] {
            assert_eq!(Window::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in
            ["", "Sun", "02:00-04:00", "sun 02:00-04:00", "Sun 2:00-4:00", "Sun 02:00-24:00", "Sun 02:00-02:00", "Sun 02:00 - 04:00"]
        {
            assert!(Window::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
