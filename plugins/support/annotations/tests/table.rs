//! Annotation files and tables: gaps, damage, and what is counted.

use std::{fs, io::Write as _};

use flate2::{Compression, write::GzEncoder};
use medfocus_annotations::{Oddities, Source, Table};
use medfocus_plugin_api::{ErrorKind, Oddity, Result};

/// Where a row is, and its cells.
type Row = (String, [Option<String>; 2]);

/// The rows of columns `a` and `c` of a file with these bytes.
fn read(bytes: &[u8]) -> Result<(Vec<Row>, Vec<Oddity>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    fs::write(&path, bytes).unwrap();
    let mut table = Table::open(&path, b',', ["a", "c"])?;
    let mut oddities = Oddities::default();
    let mut rows = Vec::new();
    while let Some(row) = table.row(&mut oddities)? {
        rows.push((row.place(), row.cells().map(|cell| cell.map(str::to_owned))));
    }
    table.digest()?;
    Ok((rows, oddities.found().to_vec()))
}

fn cells(text: &str) -> Vec<[Option<String>; 2]> {
    let (rows, _) = read(text.as_bytes()).unwrap();
    rows.into_iter().map(|(_, cells)| cells).collect()
}

fn refused(bytes: &[u8]) -> String {
    let error = read(bytes).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Invalid);
    error.to_string()
}

#[test]
fn gaps_are_what_pandas_takes_for_them() {
    // `pandas._libs.parsers.STR_NA_VALUES` of pandas 3.1, and cells that only look like them.
    let gaps = [
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
        "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    ];
    for gap in gaps {
        assert_eq!(
            cells(&format!("a,b,c\n{gap},1,x\n")),
            [[None, Some("x".into())]],
            "{gap}"
        );
        assert_eq!(
            cells(&format!("a,b,c\n\"{gap}\",1,x\n"))[0][0],
            None,
            "quoted {gap}"
        );
    }
    for cell in [" ", "NAN", "none", "-", "na", "Null", "0"] {
        assert_eq!(
            cells(&format!("a,b,c\n{cell},1,x\n"))[0][0].as_deref(),
            Some(cell)
        );
    }
}

#[test]
fn numbers_are_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    fs::write(&path, "a,c\n 7 ,1.5\n7.0,x\n,\n7.5,inf\n").unwrap();
    let mut table = Table::open(&path, b',', ["a", "c"]).unwrap();
    let mut next = || {
        let row = table.row(&mut Oddities::default()).unwrap().unwrap();
        let whole = row.whole(0).map_err(|error| error.to_string());
        (whole, row.number(1))
    };
    assert_eq!(next(), (Ok(Some(7)), Some(1.5)));
    assert_eq!(next(), (Ok(Some(7)), None));
    assert_eq!(next(), (Ok(None), None));
    let sentence = "t.csv, line 5: `a` is no whole number".to_owned();
    assert_eq!(next(), (Err(sentence), Some(f64::INFINITY)));
}

#[test]
fn rows_that_stop_early_or_come_twice_are_counted() {
    let (rows, oddities) = read(b"a,b,c\n1,2,3\n1,2\n\n1,2,3\n1,2,3\n1\n").unwrap();
    let some = |text: &str| Some(text.to_owned());
    let whole = [some("1"), some("3")];
    let short = [some("1"), None];
    let cells: Vec<_> = rows.iter().map(|(_, cells)| cells.clone()).collect();
    assert_eq!(
        cells,
        [&whole, &short, &whole, &whole, &short].map(Clone::clone)
    );
    let expected = [
        Oddity::new("rows with too few cells", 2, "t.csv, line 3"),
        Oddity::new("rows given twice", 2, "t.csv, line 5"),
    ];
    assert_eq!(oddities, expected);
    assert_eq!(rows[4].0, "t.csv, line 7");
}

#[test]
fn lines_are_those_of_an_editor() {
    for text in [
        "a,b,c\n1,2,3\n\n\n4,\"5\n\n6\",7\n8,9,10",
        "a,b,c\r\n1,2,3\r\n\r\n\r\n4,\"5\r\n\r\n6\",7\r\n8,9,10\r\n\r\n",
    ] {
        let (rows, _) = read(text.as_bytes()).unwrap();
        let places: Vec<_> = rows.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(
            places,
            ["t.csv, line 2", "t.csv, line 5", "t.csv, line 8"],
            "{text:?}"
        );
    }
}

#[test]
fn cells_are_told_apart() {
    // Not the same row, though their texts run together to the same.
    let (_, oddities) = read(b"a,b,c\n12,3,4\n1,23,4\n").unwrap();
    assert_eq!(oddities, []);
}

#[test]
fn line_ends_and_quotations_are_those_of_pandas() {
    let expected = cells("a,b,c\n\"x, \"\"y\"\"\",2,\"3\n4\"\nz\"z,5,6\n");
    assert_eq!(expected[0], [Some("x, \"y\"".into()), Some("3\n4".into())]);
    assert_eq!(expected[1][0].as_deref(), Some("z\"z"));
    assert_eq!(
        cells("a,b,c\r\n1,2,3\r\n\r\n4,5,6"),
        cells("a,b,c\n1,2,3\n4,5,6\n")
    );
    assert_eq!(cells("\u{feff}a,b,c\n1,2,3\n"), cells("a,b,c\n1,2,3\n"));
    assert_eq!(cells("\u{feff}\"a\",b,c\n1,2,3\n"), cells("a,b,c\n1,2,3\n"));
}

#[test]
fn damage_is_named() {
    let line = refused(b"a,b,c\n1,2,3\n4,5,6,7\n");
    assert_eq!(line, "t.csv, line 3 has 4 cells, the header 3");
    let open = refused(b"a,b,c\n1,2,3\n1,2,\"3\n4,5,6\n");
    assert!(
        open.contains("t.csv, line 3: a quotation begins there and does not end"),
        "{open}"
    );
    let last = refused(b"a,b,c\n1,2,\"3");
    assert!(
        last.contains("t.csv, line 2: a quotation begins there"),
        "{last}"
    );
    let latin = refused(b"a,b,c\n1,2,3\n1,2,\xe9\n");
    assert!(
        latin.contains("t.csv, line 3 cannot be read: it is not text in UTF-8"),
        "{latin}"
    );
    for header in [&b""[..], b"a,b\n1,2\n"] {
        let column = refused(header);
        assert!(column.contains("t.csv has no column `"), "{column}");
    }
    let pointer = refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    assert!(pointer.contains("git lfs pull"), "{pointer}");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(b"a,b,c\n1,2,3\n").unwrap();
    let gzip = gzip.finish().unwrap();
    assert_eq!(read(&gzip).unwrap().0.len(), 1);
    for end in 2..gzip.len() {
        assert!(refused(&gzip[..end]).contains("t.csv"), "cut at {end}");
    }
}

#[test]
fn a_compressed_copy_stands_in_for_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let missing = Source::open(&path).err().unwrap();
    assert_eq!(missing.kind, ErrorKind::Missing);
    assert!(
        missing.to_string().contains("t.csv is missing"),
        "{missing}"
    );

    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(b"inflated").unwrap();
    fs::write(folder.path().join("t.csv.gz"), gzip.finish().unwrap()).unwrap();
    let copy = Source::open(&path).unwrap();
    assert_eq!(copy.name(), "t.csv.gz");
    assert_eq!(copy.digest().unwrap(), blake3::hash(b"inflated"));
    // The file itself comes first.
    fs::write(&path, "plain").unwrap();
    assert_eq!(
        Source::open(&path).unwrap().digest().unwrap(),
        blake3::hash(b"plain")
    );

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let folder = Source::open(&path).err().unwrap().to_string();
    assert!(folder.contains("it is a folder, not a file"), "{folder}");
}
