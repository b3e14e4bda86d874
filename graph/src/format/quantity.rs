//! Amounts of processors and memory, written as Kubernetes writes them.

use crate::diagnostic::{Problem, Problems};
use crate::format::decode;
use crate::format::yaml::{Value, Yaml};

/// Thousandths of a processor: `250m`, `2`, `0.5`.
pub(crate) fn cpu(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<u32> {
    let text = written(yaml, what, problems)?;
    let millis = match text.strip_suffix('m') {
        Some(millis) => millis.parse().ok(),
        None => decimal(&text, 1_000).and_then(|millis| u32::try_from(millis).ok()),
    };
    let millis = millis.filter(|millis| *millis > 0);
    if millis.is_none() {
        problems.add(
            Problem::new("quantity", yaml.place.clone(), format!("{what} is no number of processors"))
                .mend("write 250m for a quarter of one, or 2"),
        );
    }
    millis
}

/// Bytes: `256Mi`, `8Gi`, `500M`, `1048576`.
pub(crate) fn bytes(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<u64> {
    const UNITS: [(&str, u64); 8] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
    ];
    let text = written(yaml, what, problems)?;
    let unit = UNITS.iter().find_map(|(unit, size)| text.strip_suffix(unit).map(|number| (number, *size)));
    let (number, size) = unit.unwrap_or((&text, 1));
    let bytes = decimal(number, size).filter(|bytes| *bytes > 0);
    if bytes.is_none() {
        problems.add(
            Problem::new("quantity", yaml.place.clone(), format!("{what} is no amount of bytes"))
                .mend("write 256Mi, 8Gi or the like"),
        );
    }
    bytes
}

fn written(yaml: &Yaml, what: &str, problems: &mut Problems) -> Option<String> {
    match &yaml.value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => decode::string(yaml, what, problems).map(str::to_owned),
    }
}

/// `1.5` times a unit, when that is a whole number.
fn decimal(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.len() <= 12 && text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let fraction = u64::try_from(u128::from(parts) * u128::from(unit) / u128::from(scale)).ok()?;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Place;

    fn yaml(text: &str) -> Yaml {
        Yaml { place: Place::start_of("a"), value: Value::Text(text.to_owned()) }
    }

    #[test]
    fn processors_and_bytes_are_read_as_kubernetes_reads_them() {
        let mut problems = Problems::default();
        for (text, millis) in [("250m", 250), ("2", 2_000), ("0.5", 500), ("1.25", 1_250)] {
            assert_eq!(cpu(&yaml(text), "cpu", &mut problems), Some(millis), "{text}");
        }
        for (text, count) in [("256Mi", 256 << 20), ("1.5Gi", 3 << 29), ("500M", 500_000_000), ("7", 7)] {
            assert_eq!(bytes(&yaml(text), "memory", &mut problems), Some(count), "{text}");
        }
        assert!(problems.is_empty());
        for text in ["", "m", "0", "-1", "1.", ".5", "1 Gi", "1gi", "99999999999999999999Ti", "1e3"] {
            let before = problems.noted();
            assert_eq!(
                (cpu(&yaml(text), "x", &mut problems), bytes(&yaml(text), "x", &mut problems)),
                (None, None),
                "{text}"
            );
            assert_eq!(problems.noted(), before + 2, "{text}");
        }
    }
}
