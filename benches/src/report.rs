//! Report: raw numbers of all runs, their medians, and what they are against the goals.

use std::fmt::Write;

/// One scenario's results.
#[derive(Debug, Clone)]
pub struct Section {
    /// Name of the scenario.
    pub name: String,
    /// What was done, in a sentence or two.
    pub what: String,
    /// Configuration that the agent ran with.
    pub config: String,
    /// Raw numbers.
    pub table: Table,
    /// Medians against goals.
    pub goals: Vec<Goal>,
}

/// Numbers of several runs; what a run could not tell is NaN.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Names of the columns with their units, and decimal places to show.
    pub columns: Vec<(&'static str, usize)>,
    /// One row of numbers per run.
    pub runs: Vec<Vec<f64>>,
}

/// Which side of a goal is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Measured must not be below.
    AtLeast,
    /// Measured must not be above.
    AtMost,
}

/// A number that we promise, and the one that was measured.
#[derive(Debug, Clone)]
pub struct Goal {
    /// What is measured, with its unit.
    pub what: String,
    /// Median of the runs.
    pub measured: f64,
    /// Which side of `want` is good.
    pub side: Side,
    /// The promise.
    pub want: f64,
}

impl Goal {
    /// Whether the promise is kept; a number that could not be had keeps none.
    #[must_use]
    pub fn is_met(&self) -> bool {
        match self.side {
            Side::AtLeast => self.measured >= self.want,
            Side::AtMost => self.measured <= self.want,
        }
    }
}

impl Table {
    /// Median of the column called `name`: the middle one, or the mean of the two in the middle.
    ///
    /// # Panics
    /// If there is no such column.
    #[must_use]
    pub fn median(&self, name: &str) -> f64 {
        let column = self.columns.iter().position(|(column, _)| *column == name);
        self.median_of(column.expect("a column is asked for by the name it was made with"))
    }

    /// A goal that the median of the column called `name` is measured against.
    ///
    /// # Panics
    /// If there is no such column.
    #[must_use]
    pub fn goal(&self, what: &str, name: &str, side: Side, want: f64) -> Goal {
        Goal { what: what.to_owned(), measured: self.median(name), side, want }
    }

    fn median_of(&self, column: usize) -> f64 {
        let mut values: Vec<f64> = self.runs.iter().map(|run| run[column]).collect();
        values.retain(|value| !value.is_nan());
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => f64::NAN,
            count if count.is_multiple_of(2) => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        }
    }

    /// Rows as text: head, runs, medians.
    fn rows(&self) -> Vec<Vec<String>> {
        let head = |first: &str| vec![first.to_owned()];
        let mut rows = vec![head("run")];
        rows[0].extend(self.columns.iter().map(|(name, _)| (*name).to_owned()));
        for (index, run) in self.runs.iter().enumerate() {
            let mut row = head(&(index + 1).to_string());
            row.extend(run.iter().zip(&self.columns).map(|(value, column)| show(*value, column.1)));
            rows.push(row);
        }
        let mut medians = head("median");
        let shown = self.columns.iter().enumerate();
        medians.extend(shown.map(|(index, column)| show(self.median_of(index), column.1)));
        rows.push(medians);
        rows
    }
}

impl Section {
    /// For a terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{}: {}\n", self.name, self.what);
        let rows = self.table.rows();
        let widths: Vec<usize> = (0..rows[0].len())
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        for row in &rows {
            for (cell, width) in row.iter().zip(&widths) {
                push(&mut text, format_args!("  {cell:>width$}"));
            }
            text.push('\n');
        }
        for goal in &self.goals {
            let verdict = if goal.is_met() { "met" } else { "MISSED" };
            let line = format_args!(
                "  {}: {} (goal: {} {}): {verdict}\n",
                goal.what,
                show(goal.measured, 3),
                goal.sign(),
                goal.want
            );
            push(&mut text, line);
        }
        text
    }

    /// For `RESULTS.md`.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!("### {}\n\n{}\n\n", self.name, self.what);
        for (index, row) in self.table.rows().iter().enumerate() {
            push(&mut text, format_args!("| {} |\n", row.join(" | ")));
            if index == 0 {
                push(&mut text, format_args!("|{}\n", "--:|".repeat(row.len())));
            }
        }
        if !self.goals.is_empty() {
            text.push_str("\n| goal | measured | wanted | |\n|---|--:|--:|---|\n");
        }
        for goal in &self.goals {
            let verdict = if goal.is_met() { "met" } else { "**missed**" };
            let line = format_args!(
                "| {} | {} | {} {} | {verdict} |\n",
                goal.what,
                show(goal.measured, 3),
                goal.sign(),
                goal.want
            );
            push(&mut text, line);
        }
        push(&mut text, format_args!("\nConfiguration:\n\n```yaml\n{}```\n", self.config));
        text
    }
}

impl Goal {
    fn sign(&self) -> char {
        match self.side {
            Side::AtLeast => '≥',
            Side::AtMost => '≤',
        }
    }
}

/// A number, or a dash where there is none.
fn show(value: f64, places: usize) -> String {
    if value.is_nan() { "–".to_owned() } else { format!("{value:.places$}") }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes all that is written");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Section {
        Section {
            name: "plain".to_owned(),
            what: "One file.".to_owned(),
            config: "kind: Agent\n".to_owned(),
            table: Table {
                columns: vec![("MB/s", 0), ("peak MiB", 1)],
                runs: vec![vec![100.0, f64::NAN], vec![300.0, 9.0], vec![200.0, 8.0]],
            },
            goals: vec![
                Goal { what: "speed".to_owned(), measured: 0.5, side: Side::AtLeast, want: 0.35 },
                Goal { what: "MiB".to_owned(), measured: 64.0, side: Side::AtMost, want: 48.0 },
            ],
        }
    }

    #[test]
    fn medians_pass_over_what_is_not_known() {
        let table = section().table;
        assert_eq!(table.median("MB/s"), 200.0);
        assert_eq!(table.median("peak MiB"), 8.5);
        let none = Table { columns: vec![("x", 0)], runs: vec![vec![f64::NAN]] };
        assert!(none.median("x").is_nan());
    }

    #[test]
    fn goals_have_a_good_side_and_nothing_meets_none() {
        let met: Vec<bool> = section().goals.iter().map(Goal::is_met).collect();
        assert_eq!(met, [true, false]);
        for side in [Side::AtLeast, Side::AtMost] {
            let goal = Goal { what: String::new(), measured: f64::NAN, side, want: 1.0 };
            assert!(!goal.is_met());
        }
    }

    #[test]
    fn text_lines_up() {
        assert_eq!(
            section().to_text(),
            "plain: One file.\n     run  MB/s  peak MiB\n       1   100         –\n       2   \
             300       9.0\n       3   200       8.0\n  median   200       8.5\n  speed: 0.500 \
             (goal: ≥ 0.35): met\n  MiB: 64.000 (goal: ≤ 48): MISSED\n"
        );
    }

    #[test]
    fn markdown_has_raw_numbers_medians_and_goals() {
        let text = section().to_markdown();
        for want in [
            "### plain\n\nOne file.\n",
            "| run | MB/s | peak MiB |\n|--:|--:|--:|\n| 1 | 100 | – |\n",
            "| median | 200 | 8.5 |\n",
            "| speed | 0.500 | ≥ 0.35 | met |\n| MiB | 64.000 | ≤ 48 | **missed** |\n",
            "```yaml\nkind: Agent\n```\n",
        ] {
            assert!(text.contains(want), "{text}");
        }
    }
}
