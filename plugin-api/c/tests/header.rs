//! The header and the host's view of it are one: each field's type and place, each size, each constant, as a C compiler sees them.

use std::{
    ffi::{c_char, c_void},
    fmt::Write,
    fs,
    mem::{align_of, offset_of, size_of},
    path::Path,
    process::{Command, Output},
};

use medfocus_c_abi::{
    Component, EPOCH, ERROR, Host, MOST_AXES, MOST_BYTES, MOST_TENSORS, Message, OK, ROOT_SYMBOL,
    Root, Tensor, Text,
};
use medfocus_plugin_api::{Dtype, manifest};

/// How C spells a type.
trait InC {
    fn in_c() -> String;
}

macro_rules! spelled {
    ($($rust:ty => $c:literal),* $(,)?) => {$(
        impl InC for $rust {
            fn in_c() -> String { $c.to_owned() }
        }
    )*};
}
spelled! {
    () => "void", bool => "bool", c_char => "char", c_void => "void",
    i32 => "int32_t", u32 => "uint32_t", i64 => "int64_t", u64 => "uint64_t", usize => "size_t",
    Text => "medfocus_text", Tensor => "medfocus_tensor", Message => "medfocus_message",
    Host => "medfocus_host", Component => "medfocus_component", Root => "medfocus_root",
}

impl<T: InC> InC for *const T {
    fn in_c() -> String {
        format!("const {} *", T::in_c())
    }
}

impl<T: InC> InC for *mut T {
    fn in_c() -> String {
        format!("{} *", T::in_c())
    }
}

/// A function that may be NULL is the same to C.
impl<T: InC> InC for Option<T> {
    fn in_c() -> String {
        T::in_c()
    }
}

macro_rules! functions {
    ($(($($argument:ident),*)),*) => {$(
        impl<R: InC, $($argument: InC),*> InC for unsafe extern "C" fn($($argument),*) -> R {
            fn in_c() -> String {
                let arguments: Vec<String> = vec![$($argument::in_c()),*];
                let arguments = match arguments.len() {
                    0 => "void".to_owned(),
                    _ => arguments.join(", "),
                };
                format!("{} (*)({arguments})", R::in_c())
            }
        }
    )*};
}
functions! { (), (A), (A, B, C, D), (A, B, C, D, E) }

fn of_field<S, F: InC>(_: fn(S) -> F) -> (String, usize) {
    (F::in_c(), size_of::<F>())
}

/// A pointer to this type, as C spells it.
fn pointer_to(ty: &str) -> String {
    match ty.split_once("(*)") {
        Some((result, arguments)) => format!("{result}(**){arguments}"),
        None => format!("{ty} *"),
    }
}

/// What C must find true of a struct; does not compile unless all fields are named.
macro_rules! claims {
    ($out:ident, $type:ident { $($field:ident $(as $name:literal)?),* $(,)? }) => {{
        let c = $type::in_c();
        #[allow(unused)]
        fn all_fields($type { $($field: _),* }: $type) {}
        claim(&mut $out, &format!("sizeof({c}) == {}", size_of::<$type>()));
        claim(&mut $out, &format!("_Alignof({c}) == {}", align_of::<$type>()));
        $(
            let name = [$($name,)? stringify!($field)][0];
            let (ty, size) = of_field(|whole: $type| whole.$field);
            claim(&mut $out, &format!("offsetof({c}, {name}) == {}", offset_of!($type, $field)));
            claim(&mut $out, &format!("sizeof((({c} *)0)->{name}) == {size}"));
            let pointer = pointer_to(&ty);
            claim(&mut $out, &format!("_Generic(&(({c} *)0)->{name}, {pointer}: 1, default: 0)"));
        )*
    }};
}

fn claim(out: &mut String, what: &str) {
    let text = what.replace('"', "'");
    writeln!(out, "_Static_assert({what}, \"{text}\");").unwrap();
}

/// Everything that both sides must agree on, as a C file.
fn claims() -> String {
    let mut out = String::from("#include \"medfocus_plugin.h\"\n");
    claims!(out, Text { data, length });
    claims!(
        out,
        Tensor {
            data,
            dtype,
            rank,
            shape,
            strides,
            owner,
            release
        }
    );
    claims!(
        out,
        Message {
            body,
            tensors,
            tensor_count,
            owner,
            release
        }
    );
    claims!(
        out,
        Host {
            size,
            epoch,
            this as "self",
            log,
            progress,
            cancelled,
            call
        }
    );
    claims!(
        out,
        Component {
            this as "self",
            invoke,
            drop
        }
    );
    claims!(
        out,
        Root {
            size,
            epoch,
            describe,
            create
        }
    );
    let dtypes = [
        ("U8", Dtype::U8),
        ("I32", Dtype::I32),
        ("I64", Dtype::I64),
        ("F32", Dtype::F32),
        ("F64", Dtype::F64),
    ];
    for (name, dtype) in dtypes {
        claim(&mut out, &format!("MEDFOCUS_{name} == {}", dtype as u8));
    }
    claim(&mut out, &format!("MEDFOCUS_EPOCH == {EPOCH}"));
    claim(&mut out, &format!("MEDFOCUS_OK == {OK}"));
    claim(&mut out, &format!("MEDFOCUS_ERROR == {ERROR}"));
    claim(&mut out, &format!("MEDFOCUS_MOST_AXES == {MOST_AXES}"));
    claim(
        &mut out,
        &format!("MEDFOCUS_MOST_TENSORS == {MOST_TENSORS}"),
    );
    claim(&mut out, &format!("MEDFOCUS_MOST_BYTES == {MOST_BYTES}"));
    claim(
        &mut out,
        &format!("_Generic(&{ROOT_SYMBOL}, const medfocus_root *: 1, default: 0)"),
    );
    let target = manifest::TARGET.concat();
    claim(
        &mut out,
        &format!("sizeof MEDFOCUS_TARGET == {}", target.len() + 1),
    );
    out
}

/// Lets a C compiler look at a file that includes the header.
fn compiled(include: &Path, text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claims.c");
    fs::write(&file, text).unwrap();
    Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-fsyntax-only",
            "-I",
        ])
        .arg(include)
        .arg(&file)
        .output()
        .expect("a C compiler is there, as libtorch's bindings need one")
}

fn include() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/include"))
}

#[test]
fn the_header_is_what_the_host_sees() {
    let claims = claims();
    assert!(claims.lines().count() > 80, "{claims}");
    let seen = compiled(include(), &claims);
    assert!(
        seen.status.success(),
        "{}",
        String::from_utf8_lossy(&seen.stderr)
    );
}

#[test]
fn a_change_of_the_header_is_seen() {
    let header = fs::read_to_string(include().join("medfocus_plugin.h")).unwrap();
    let changes = [
        ("    uint32_t dtype;", "    uint64_t dtype;"),
        ("    size_t tensor_count;", "    int64_t tensor_count;"),
        ("    const void *data;\n", "    void *data;\n"),
        (
            "uint64_t done, uint64_t total",
            "uint64_t done, int64_t total",
        ),
        (
            "const medfocus_host *host, medfocus_component",
            "medfocus_host *host, medfocus_component",
        ),
        (
            "    void (*drop)(void *self);",
            "    int (*drop)(void *self);",
        ),
        ("#define MEDFOCUS_F64 4", "#define MEDFOCUS_F64 5"),
        (
            "} medfocus_component;",
            "    int more;\n} medfocus_component;",
        ),
    ];
    for (from, to) in changes {
        assert!(header.contains(from), "{from}");
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("medfocus_plugin.h"),
            header.replacen(from, to, 1),
        )
        .unwrap();
        let seen = compiled(folder.path(), &claims());
        let error = String::from_utf8_lossy(&seen.stderr);
        assert!(
            !seen.status.success() && error.contains("static assertion"),
            "{to}: {error}"
        );
    }
}

#[test]
fn the_header_stands_alone() {
    let text = "#include \"medfocus_plugin.h\"\nMEDFOCUS_MANIFEST(\"{}\")\n\
                const medfocus_root medfocus_plugin_root_c1 = {sizeof(medfocus_root), MEDFOCUS_EPOCH, medfocus_describe, 0};\n";
    let seen = compiled(include(), text);
    assert!(
        seen.status.success(),
        "{}",
        String::from_utf8_lossy(&seen.stderr)
    );
}

#[test]
fn what_the_page_shows_compiles() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/c.md");
    let page = fs::read_to_string(page).unwrap();
    let shown = page.split("```c\n").skip(1);
    let shown: Vec<&str> = shown.filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(shown.len(), 2, "the manifest and the root");
    let create = "static int32_t create(medfocus_text name, medfocus_text params, const medfocus_host *host,\n\
                  medfocus_component *component, medfocus_message *error) {\n\
                  (void)name; (void)params; (void)host; (void)component; (void)error; return MEDFOCUS_ERROR; }\n";
    let text = format!(
        "#include \"medfocus_plugin.h\"\n{create}{}",
        shown.join("\n")
    );
    let seen = compiled(include(), &text);
    assert!(
        seen.status.success(),
        "{}",
        String::from_utf8_lossy(&seen.stderr)
    );
}
