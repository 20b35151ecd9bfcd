//! `Debug` for structures with secret members: their values print as `[redacted]`.

/// Written by hand for each such structure by the generator; deriving would print passwords and
/// tokens into the first log line that shows a request.
macro_rules! redacted_debug {
    ($name:ident { $($shown:ident),* } secret { $($hidden:ident),* }) => {
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($shown), &self.$shown))*
                    $(.field(stringify!($hidden), &format_args!("[redacted]")))*
                    .finish()
            }
        }
    };
}

pub(crate) use redacted_debug;
