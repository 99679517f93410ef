//! What is wrong with a command line, in a line.

use std::error::Error as _;
use std::ops::RangeInclusive;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Takes a whole number of a range; what else is given is said to be none, with the range.
pub fn whole<T>(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: TryFrom<u64>,
{
    move |text| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_number && range.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("give a whole number from {} to {}", range.start(), range.end()))
    }
}

/// The line for a value that cannot be used: it names the option as it is typed, for one of `make load` in both ways, what was
/// given, and what would do. Nothing for what is wrong otherwise.
pub fn line(error: &Error, arguments: &[String]) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return None;
    }
    let (option, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let option = option.split([' ', '=']).next()?;
    let todo = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(valid))) if !valid.is_empty() => format!("give {}", valid.join(" or ")),
        _ => return None,
    };
    let is_of_make = arguments.first().is_some_and(|command| command == "load") && VARIABLES.contains(&option);
    let variable = option.trim_start_matches('-').to_uppercase();
    let called = if is_of_make { format!("{option} ({variable}=)") } else { option.to_owned() };
    let given = if value.is_empty() { "without a value".to_owned() } else { value.escape_default().to_string() };
    Some(format!("error: {called} {given}: {todo}"))
}

/// Options of `load` that `make load` has a variable for.
const VARIABLES: [&str; 6] = ["--rate", "--clients", "--seconds", "--mix", "--profile", "--minutes"];
