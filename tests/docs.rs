//! The written pages: what they point at is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use medfocus_tests::workspace;

/// The README and every page below `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![workspace().join("README.md")];
    let mut folders = vec![workspace().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

/// What stands between the brackets of `](...)`.
fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("](").skip(1).filter_map(|rest| {
        let end = rest.find(')')?;
        Some(&rest[..end])
    })
}

/// Whether a page has a heading with this anchor, made as GitHub makes it.
fn has_anchor(page: &str, anchor: &str) -> bool {
    page.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim())
        .any(|heading| {
            let made: String = heading
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect();
            made == anchor
        })
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap_or(Path::new("")).join(file),
            };
            let leads = match anchor {
                "" => target.exists(),
                anchor => {
                    fs::read_to_string(&target).is_ok_and(|target| has_anchor(&target, anchor))
                }
            };
            if !leads {
                broken.push(format!("{}: {link}", page.display()));
            }
            followed += 1;
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(followed > 20, "only {followed} links were found");
}

#[test]
fn licences_are_in_the_tree() {
    let text = |file: &str| fs::read_to_string(workspace().join(file)).unwrap();
    let apache = text("LICENSE");
    assert!(apache.contains("Version 2.0, January 2004"));
    assert!(apache.contains("END OF TERMS AND CONDITIONS"));
    let font = text("host/src/overlay/NotoSans-LICENSE.txt");
    assert!(font.contains("Copyright 2012 Google Inc."));
    assert!(font.contains("SIL OPEN FONT LICENSE Version 1.1"));
    assert!(font.contains("DISCLAIMER"));
}
