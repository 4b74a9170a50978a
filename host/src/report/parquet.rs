//! `results.parquet`: every result, one line for each sample and method.

use std::{io, sync::Arc};

use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::{ParquetError, Result},
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::Type,
};
use serde_json::json;

use super::{measure, text};
use crate::{
    experiment::{
        plan::Plan,
        record::{MethodOutcome, MethodResult, Outcome, Record},
        results::Results,
    },
    metrics::METRICS,
};

/// Lines of a row group: so many are in memory at once.
const LINES: usize = 1 << 16;

/// Writes the file.
///
/// A sample that was excluded or failed as a whole has one line without a method; `status` is `scored`, `failed` or
/// `excluded`, `exclusion` says why it was excluded, `group` what the causal filter proved, `error` why it failed. Metrics are as in the records, 0 to 1, and
/// null where they do not apply. `boxes` is a JSON list of the regions found.
///
/// # Errors
///
/// A record cannot be read, or the disk fails.
pub fn write(results: &Results, out: impl io::Write + Send) -> io::Result<()> {
    let mut table = Table::new(&results.plan, out).map_err(io::Error::other)?;
    for record in results.records.all(&results.plan.cells) {
        let record = record.map_err(io::Error::other)?;
        table.add(&record).map_err(io::Error::other)?;
    }
    table.end().map_err(io::Error::other)
}

/// A file that is written row group after row group.
struct Table<'a, W: io::Write + Send> {
    writer: SerializedFileWriter<W>,
    /// With the lines that are not yet in the file.
    columns: Vec<Column<'a>>,
    lines: usize,
    groups: usize,
}

struct Column<'a> {
    name: &'static str,
    values: Values<'a>,
}

enum Values<'a> {
    Text(Of<'a, String>, Vec<Option<String>>),
    Integer(Of<'a, u64>, Vec<Option<i64>>),
    Real(Of<'a, f64>, Vec<Option<f64>>),
    Truth(Of<'a, bool>, Vec<Option<bool>>),
}

/// What a column has of a line.
type Of<'a, T> = Box<dyn Fn(&Line<'_>) -> Option<T> + 'a>;

/// A line of the file.
struct Line<'a> {
    record: &'a Record,
    result: Option<&'a MethodResult>,
}

impl<'a, W: io::Write + Send> Table<'a, W> {
    fn new(plan: &'a Plan, out: W) -> Result<Self> {
        let columns = columns(plan);
        let fields = columns.iter().map(|column| column.field().map(Arc::new));
        let schema = Type::group_type_builder("results")
            .with_fields(fields.collect::<Result<_>>()?)
            .build()?;
        let properties = Arc::new(WriterProperties::builder().build());
        Ok(Self {
            writer: SerializedFileWriter::new(out, Arc::new(schema), properties)?,
            columns,
            lines: 0,
            groups: 0,
        })
    }

    fn add(&mut self, record: &Record) -> Result<()> {
        match &record.outcome {
            Outcome::Attributed { results } => results.iter().try_for_each(|result| {
                let result = Some(result);
                self.line(&Line { record, result })
            }),
            Outcome::Excluded { .. } | Outcome::Failed { .. } => self.line(&Line {
                record,
                result: None,
            }),
        }
    }

    fn line(&mut self, line: &Line<'_>) -> Result<()> {
        self.columns.iter_mut().for_each(|column| column.add(line));
        self.lines += 1;
        if self.lines == LINES {
            self.group()?;
        }
        Ok(())
    }

    fn group(&mut self) -> Result<()> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            column.write(&mut group)?;
        }
        group.close()?;
        self.lines = 0;
        self.groups += 1;
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        if self.lines > 0 || self.groups == 0 {
            self.group()?;
        }
        self.writer.close().map(drop)
    }
}

fn columns(plan: &Plan) -> Vec<Column<'_>> {
    let mut columns = vec![
        text_column("dataset", |line| Some(line.record.case.dataset.clone())),
        text_column("model", |line| Some(line.record.case.model.clone())),
        text_column("mode", |line| Some(line.record.case.mode.name().to_owned())),
        integer("index", |line| Some(line.record.case.index)),
        text_column("finding", |line| {
            Some(line.record.subject.as_ref()?.finding.clone())
        }),
        text_column("method", |line| Some(line.result?.method.clone())),
        truth("control", |line| is_control(plan, line)),
        text_column("status", |line| Some(line.status().to_owned())),
        text_column("exclusion", |line| line.exclusion()),
        text_column("group", |line| {
            Some(line.record.subject.as_ref()?.group?.words().to_owned())
        }),
    ];
    columns.extend(
        METRICS
            .iter()
            .map(|(metric, _)| real(metric.name, |line| line.metric(metric.name))),
    );
    columns.extend([
        text_column("boxes", |line| line.boxes()),
        truth("empty", |line| match &line.result?.outcome {
            MethodOutcome::Scored { boxes, .. } => Some(boxes.is_empty()),
            MethodOutcome::Failed { .. } => None,
        }),
        truth("fallback", |line| match line.result?.outcome {
            MethodOutcome::Scored { fallback, .. } => Some(fallback),
            MethodOutcome::Failed { .. } => None,
        }),
        integer("calls", |line| line.result.map(measure::model_calls)),
        integer("images", |line| line.result.map(measure::images)),
        real("seconds", |line| {
            Some(
                line.result
                    .map_or(line.record.seconds, |result| result.seconds),
            )
        }),
        text_column("error", |line| line.error()),
    ]);
    columns
}

fn is_control(plan: &Plan, line: &Line<'_>) -> Option<bool> {
    Some(plan.method(&line.result?.method)?.control)
}

impl Line<'_> {
    fn status(&self) -> &'static str {
        match (
            &self.record.outcome,
            self.result.map(|result| &result.outcome),
        ) {
            (_, Some(MethodOutcome::Scored { .. })) => "scored",
            (Outcome::Excluded { .. }, _) => "excluded",
            _ => "failed",
        }
    }

    fn exclusion(&self) -> Option<String> {
        match self.record.outcome {
            Outcome::Excluded { reason } => Some(text::exclusion(reason).to_owned()),
            _ => None,
        }
    }

    fn metric(&self, name: &str) -> Option<f64> {
        match &self.result?.outcome {
            MethodOutcome::Scored { metrics, .. } => metrics.get(name).copied(),
            MethodOutcome::Failed { .. } => None,
        }
    }

    fn boxes(&self) -> Option<String> {
        match &self.result?.outcome {
            MethodOutcome::Scored { boxes, .. } => Some(json!(boxes).to_string()),
            MethodOutcome::Failed { .. } => None,
        }
    }

    fn error(&self) -> Option<String> {
        match (
            &self.record.outcome,
            self.result.map(|result| &result.outcome),
        ) {
            (_, Some(MethodOutcome::Failed { error })) | (Outcome::Failed { error }, _) => {
                Some(error.to_string())
            }
            _ => None,
        }
    }
}

fn text_column<'a>(
    name: &'static str,
    value: impl Fn(&Line<'_>) -> Option<String> + 'a,
) -> Column<'a> {
    Column {
        name,
        values: Values::Text(Box::new(value), Vec::new()),
    }
}

fn integer<'a>(name: &'static str, value: impl Fn(&Line<'_>) -> Option<u64> + 'a) -> Column<'a> {
    Column {
        name,
        values: Values::Integer(Box::new(value), Vec::new()),
    }
}

fn real<'a>(name: &'static str, value: impl Fn(&Line<'_>) -> Option<f64> + 'a) -> Column<'a> {
    Column {
        name,
        values: Values::Real(Box::new(value), Vec::new()),
    }
}

fn truth<'a>(name: &'static str, value: impl Fn(&Line<'_>) -> Option<bool> + 'a) -> Column<'a> {
    Column {
        name,
        values: Values::Truth(Box::new(value), Vec::new()),
    }
}

impl Column<'_> {
    fn add(&mut self, line: &Line<'_>) {
        match &mut self.values {
            Values::Text(of, values) => values.push(of(line)),
            Values::Integer(of, values) => {
                values.push(of(line).and_then(|value| i64::try_from(value).ok()));
            }
            Values::Real(of, values) => values.push(of(line)),
            Values::Truth(of, values) => values.push(of(line)),
        }
    }

    fn field(&self) -> Result<Type> {
        let physical = match self.values {
            Values::Text(..) => Physical::BYTE_ARRAY,
            Values::Integer(..) => Physical::INT64,
            Values::Real(..) => Physical::DOUBLE,
            Values::Truth(..) => Physical::BOOLEAN,
        };
        let logical = matches!(self.values, Values::Text(..)).then_some(LogicalType::String);
        Type::primitive_type_builder(self.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
    }

    /// Writes its values as the next column of a row group, and forgets them.
    fn write<W: io::Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        match &mut self.values {
            Values::Text(_, values) => {
                let bytes = values.drain(..);
                let bytes = bytes.map(|value| value.map(|text| ByteArray::from(text.into_bytes())));
                add::<ByteArrayType, W>(group, bytes)
            }
            Values::Integer(_, values) => add::<Int64Type, W>(group, values.drain(..)),
            Values::Real(_, values) => add::<DoubleType, W>(group, values.drain(..)),
            Values::Truth(_, values) => add::<BoolType, W>(group, values.drain(..)),
        }
    }
}

/// Writes the next column: the values that are there, and for each line whether one is.
fn add<D: DataType, W: io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: impl Iterator<Item = Option<D::T>>,
) -> Result<()> {
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        present.extend(value);
    }
    let missing = || ParquetError::General("there are more columns than the schema has".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column
        .typed::<D>()
        .write_batch(&present, Some(&levels), None)?;
    column.close()
}
