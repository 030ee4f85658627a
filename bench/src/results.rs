//! Figures: medians of interleaved rounds, a table, and `target/bench/results.json`.

use std::path::Path;

use serde_json::{Map, Value};

/// Figures by name, in the order of their first sample.
#[derive(Debug, Default)]
pub(crate) struct Results {
    samples: Vec<(String, Vec<f64>)>,
}

impl Results {
    /// Adds one round's figure.
    pub(crate) fn add(&mut self, name: &str, value: f64) {
        match self.samples.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value),
            None => self.samples.push((name.to_owned(), vec![value])),
        }
    }

    /// The median of a figure's rounds.
    pub(crate) fn median(&self, name: &str) -> Option<f64> {
        let (_, values) = self.samples.iter().find(|(known, _)| known == name)?;
        let mut values = values.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let lower = *values.get(middle - usize::from(values.len() % 2 == 0))?;
        Some((lower + upper) / 2.0)
    }

    /// One line a figure: median, least and most of its rounds.
    pub(crate) fn print(&self) {
        println!("{:<40} {:>12} {:>12} {:>12} {:>7}", "figure", "median", "least", "most", "rounds");
        for (name, values) in &self.samples {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let median = self.median(name).unwrap_or_default();
            println!("{name:<40} {median:>12.3} {least:>12.3} {most:>12.3} {:>7}", values.len());
        }
    }

    /// Puts the medians into the object in `path`; what other parts of the benchmark left there stays.
    pub(crate) fn merge_into(&self, path: &Path) -> anyhow::Result<()> {
        let mut object: Map<String, Value> = match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)?,
            Err(_) => Map::new(),
        };
        for (name, _) in &self.samples {
            let median = self.median(name).unwrap_or_default();
            object.insert(name.clone(), Value::from((median * 10_000.0).round() / 10_000.0));
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_string_pretty(&object)? + "\n")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_all_rounds() {
        let mut results = Results::default();
        for value in [5.0, 1.0, 3.0] {
            results.add("odd", value);
        }
        for value in [4.0, 1.0, 2.0, 3.0] {
            results.add("even", value);
        }
        assert_eq!((results.median("odd"), results.median("even")), (Some(3.0), Some(2.5)));
        assert_eq!(results.median("none"), None);
    }
}
