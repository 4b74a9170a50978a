//! Both frozen surfaces byte by byte, against the file that was written when they were frozen.
//!
//! Nothing writes that file anew: plugins that were built long ago rely on it. Whoever changes a surface makes another epoch.

use std::{
    fmt::Write,
    mem::{align_of, offset_of, size_of},
};

use medfocus_plugin_api::abi::{self, std_types};

/// On 64-bit machines.
const FROZEN: &str = include_str!("layout.txt");

fn size_of_field<S, F>(_: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

/// Writes a type and its fields, each a line.
macro_rules! layout {
    ($text:ident, $surface:ident :: $type:ident { $($field:ident),* $(,)? }) => {
        let name = concat!(stringify!($surface), "::", stringify!($type));
        let (size, align) = (size_of::<$surface::$type>(), align_of::<$surface::$type>());
        writeln!($text, "{name} size {size} align {align}").unwrap();
        $(
            let at = offset_of!($surface::$type, $field);
            let size = size_of_field(|it: &$surface::$type| &it.$field);
            writeln!($text, "{name}.{} at {at} size {size}", stringify!($field)).unwrap();
        )*
    };
}

/// Writes types whose insides are another crate's, each a line.
macro_rules! sizes {
    ($text:ident, $($name:literal: $type:ty),* $(,)?) => {$(
        let (size, align) = (size_of::<$type>(), align_of::<$type>());
        writeln!($text, "{} size {size} align {align}", $name).unwrap();
    )*};
}

#[test]
#[cfg(target_pointer_width = "64")]
fn the_surfaces_are_as_they_were_frozen() {
    use medfocus_c_abi as c;
    let mut text = String::new();
    writeln!(text, "abi epoch {} symbol {}", abi::EPOCH, abi::ROOT_SYMBOL).unwrap();
    layout!(
        text,
        abi::Root {
            epoch,
            describe,
            create
        }
    );
    layout!(text, abi::AbiMessage { body, tensors });
    layout!(text, abi::AbiError { json });
    layout!(
        text,
        abi::TensorHandle {
            data,
            dtype,
            shape,
            strides,
            owner,
            release
        }
    );
    sizes!(
        text,
        "abi::ComponentBox": abi::ComponentBox,
        "abi::HostBox": abi::HostBox,
        "RResult<ComponentBox, AbiError>": std_types::RResult<abi::ComponentBox, abi::AbiError>,
        "RResult<AbiMessage, AbiError>": std_types::RResult<abi::AbiMessage, abi::AbiError>,
        "RString": std_types::RString,
        "RStr": std_types::RStr<'static>,
        "RVec<u8>": std_types::RVec<u8>,
    );
    writeln!(
        text,
        "c epoch {} symbol {} ok {} error {}",
        c::EPOCH,
        c::ROOT_SYMBOL,
        c::OK,
        c::ERROR
    )
    .unwrap();
    layout!(text, c::Text { data, length });
    layout!(
        text,
        c::Tensor {
            data,
            dtype,
            rank,
            shape,
            strides,
            owner,
            release
        }
    );
    layout!(
        text,
        c::Message {
            body,
            tensors,
            tensor_count,
            owner,
            release
        }
    );
    layout!(
        text,
        c::Host {
            size,
            epoch,
            this,
            log,
            progress,
            cancelled,
            call
        }
    );
    layout!(text, c::Component { this, invoke, drop });
    layout!(
        text,
        c::Root {
            size,
            epoch,
            describe,
            create
        }
    );
    for (found, frozen) in text.lines().zip(FROZEN.lines()) {
        assert_eq!(
            found, frozen,
            "the surface is frozen: a change needs another epoch, not another file"
        );
    }
    assert_eq!(text.lines().count(), FROZEN.lines().count());
}
