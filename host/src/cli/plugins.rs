//! `medfocus plugins`.

mod install;
mod new;

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;
use medfocus_plugin_api::{
    Error, Result,
    manifest::{ComponentManifest, Kind},
};
use serde_json::{Value, json};

use crate::{
    plugin::{Inspected, Source, inspect},
    trust::Voucher,
    workbench::Workbench,
};

#[derive(Subcommand)]
pub enum Plugins {
    /// List plugins, where each comes from and what it offers; loads none
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Describe a component or a plugin: parameters, slots, abilities; loads none
    Describe {
        /// Name of a component or a plugin
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check a plugin file as the host would before using it, and open it; prints its digest for pinning, and who
    /// vouches for it
    Check {
        /// The library
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Begin a plugin: write a crate that builds and tests itself
    New(new::New),
    /// Copy a plugin into your own plugin folder, where every later command finds it; runs none of its code
    Install(install::Install),
    /// Delete a plugin from your own plugin folder
    Remove(install::Remove),
}

impl Plugins {
    pub fn run(self, bench: &Workbench) -> Result<ExitCode> {
        match self {
            Self::List { json } => list(bench, json),
            Self::Describe { name, json } => describe(bench, &name, json),
            Self::Check { files } => check(bench, &files),
            Self::New(command) => command.run(),
            Self::Install(command) => command.run(bench),
            Self::Remove(command) => command.run(bench),
        }
    }
}

fn list(bench: &Workbench, as_json: bool) -> Result<ExitCode> {
    let (plugins, refused) = (bench.registry.plugins(), bench.registry.refused());
    let shadowed = bench.registry.shadowed();
    let mut refused: Vec<_> = refused.iter().map(ToString::to_string).collect();
    let mut allowed = Vec::new();
    for plugin in plugins {
        match bench.voucher(plugin) {
            Ok(voucher) => allowed.push((plugin, voucher)),
            Err(error) => refused.push(error.to_string()),
        }
    }
    let trust = bench.layers.trust.to_string();
    if as_json {
        let plugins: Vec<_> = allowed
            .iter()
            .map(|(plugin, voucher)| {
                let source = Source::of(&plugin.path).name();
                json!({"path": plugin.path, "source": source, "trusted": voucher, "manifest": plugin.manifest})
            })
            .collect();
        print_json(
            &json!({"plugins": plugins, "refused": refused, "shadowed": shadowed, "trust": trust}),
        )?;
    } else {
        for (plugin, voucher) in &allowed {
            let manifest = &plugin.manifest;
            let source = Source::of(&plugin.path).phrase();
            let by = said(voucher);
            let network = if manifest.network {
                "; opens the network"
            } else {
                ""
            };
            println!(
                "{} {} ({source}{by}{network})",
                manifest.name, manifest.version
            );
            for component in &manifest.components {
                println!(
                    "  {:<10} {:<16} {}",
                    component.kind.name(),
                    component.name,
                    component.summary
                );
            }
        }
        for error in &refused {
            println!("refused: {error}");
        }
        println!("trust: {trust}");
        if plugins.is_empty() && refused.is_empty() {
            let paths: Vec<_> = bench
                .layers
                .config
                .plugins
                .paths
                .iter()
                .map(|p| p.display().to_string())
                .collect();
            println!("no plugins in {}", paths.join(", "));
        }
    }
    let sound = refused.is_empty() && shadowed.is_empty();
    Ok(ExitCode::from(u8::from(!sound)))
}

/// Who vouches for a plugin, to be said after something else; nothing if nobody need do so.
pub fn said(voucher: &Voucher) -> String {
    match voucher {
        Voucher::Nobody => String::new(),
        voucher => format!(", {voucher}"),
    }
}

fn describe(bench: &Workbench, name: &str, as_json: bool) -> Result<ExitCode> {
    let plugins = bench.registry.plugins().iter();
    let matching = |plugin: &&Inspected| {
        plugin.manifest.name == name
            || plugin
                .manifest
                .components
                .iter()
                .any(|component| component.name == name)
    };
    let found: Vec<_> = plugins.filter(matching).collect();
    if found.is_empty() {
        return Err(
            Error::missing(format!("there is no plugin or component `{name}`"))
                .with_hint("see `medfocus plugins list`"),
        );
    }
    for plugin in found {
        let id = bench.identity(plugin)?;
        let whole = plugin.manifest.name == name;
        let components = plugin
            .manifest
            .components
            .iter()
            .filter(|component| whole || component.name == name);
        if as_json {
            let components: Vec<_> = components.collect();
            print_json(&json!({"plugin": id, "path": plugin.path, "components": components}))?;
            continue;
        }
        for component in components {
            print_component(component);
        }
        println!(
            "from {} {} ({})\n     {}",
            id.name,
            id.version,
            plugin.path.display(),
            id.digest
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn print_component(component: &ComponentManifest) {
    println!(
        "{} `{}`\n{}\n",
        component.kind.name(),
        component.name,
        component.summary
    );
    for slot in &component.slots {
        let need = if slot.required { "needs" } else { "may use" };
        let abilities: Vec<_> = slot
            .abilities
            .iter()
            .map(|ability| ability.name())
            .collect();
        let that = if abilities.is_empty() {
            String::new()
        } else {
            format!(" that can {}", abilities.join(" and "))
        };
        println!(
            "{need} {}{that} in slot `{}`",
            slot.kind.with_article(),
            slot.name
        );
    }
    if component.kind == Kind::Model {
        let abilities: Vec<_> = component
            .abilities
            .iter()
            .map(|ability| ability.name())
            .collect();
        println!("can {}", abilities.join(", "));
    }
    let properties = component.params["properties"].as_object();
    for (name, property) in properties.into_iter().flatten() {
        let range = match (
            &property["minimum"],
            &property["maximum"],
            &property["enum"],
        ) {
            (Value::Null, Value::Null, Value::Null) => String::new(),
            (low, high, Value::Null) => format!(", {low} to {high}"),
            (_, _, choices) => {
                let names: Vec<_> = choices
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                format!(": {}", names.join(" | "))
            }
        };
        println!("  {name} = {}{range}", property["default"]);
        println!(
            "      {}",
            property["description"].as_str().unwrap_or_default()
        );
    }
}

fn check(bench: &Workbench, files: &[PathBuf]) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for file in files {
        let opened = inspect(file).and_then(|plugin| {
            let plugin = plugin.ok_or_else(|| {
                Error::invalid(format!(
                    "{} is a library but no plugin: it has no manifest",
                    file.display()
                ))
            })?;
            bench.usable(&plugin)
        });
        match opened {
            Ok((id, voucher)) => {
                println!("ok {} {} {}", id.name, id.version, id.digest);
                if !bench.layers.trust.is_silent() || voucher != Voucher::Nobody {
                    println!("   {voucher}; trust: {}", bench.layers.trust);
                }
            }
            Err(error) => {
                println!("refused: {error}");
                code = ExitCode::from(1);
            }
        }
    }
    Ok(code)
}

pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Error::internal(error.to_string()))?;
    println!("{text}");
    Ok(())
}
