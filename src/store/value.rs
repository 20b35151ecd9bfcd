//! What goes into a statement and what comes out of it: `Val`, `Row`, and their translation to and from both
//! databases. Only four types exist in the schema (TEXT, BIGINT, BYTEA, DOUBLE PRECISION); booleans are 0 and 1.

use std::error::Error as StdError;
use std::fmt;

use rusqlite::types::{FromSqlError, ToSqlOutput, ValueRef};
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, Type};

use crate::error::{Error, Result};

/// A parameter or a column.
#[derive(Clone, PartialEq)]
pub enum Val {
    Null,
    I64(i64),
    /// Never NaN: SQLite would store NULL.
    F64(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// One row of an answer; columns are read by position, in the order of the SELECT list.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub(super) Vec<Val>);

/// `params![id, now, name]` is a `Vec<Val>`; each item is anything that `Val: From` takes.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {{
        let params: ::std::vec::Vec<$crate::store::Val> = ::std::vec![$($crate::store::Val::from($value)),*];
        params
    }};
}

macro_rules! getters {
    ($($name:ident, $opt:ident -> $type:ty, $wanted:literal: $($pattern:pat => $value:expr),+;)*) => {
        impl Row {
            $(
                /// Fails (an internal error that names the column) on NULL and on any other type.
                pub fn $name(&self, column: usize) -> Result<$type> {
                    match self.val(column)? { $($pattern => Ok($value),)+ other => Err(mismatch(column, $wanted, other)) }
                }

                /// The same, with NULL as `None`.
                pub fn $opt(&self, column: usize) -> Result<Option<$type>> {
                    match self.val(column)? { Val::Null => Ok(None), _ => self.$name(column).map(Some) }
                }
            )*
        }
    };
}

getters! {
    i64, opt_i64 -> i64, "an integer": Val::I64(n) => *n;
    bool, opt_bool -> bool, "0 or 1": Val::I64(0) => false, Val::I64(1) => true;
    f64, opt_f64 -> f64, "a number": Val::F64(n) => *n, Val::I64(n) => *n as f64;
    text, opt_text -> &str, "text": Val::Text(text) => text;
    string, opt_string -> String, "text": Val::Text(text) => text.clone();
    blob, opt_blob -> &[u8], "bytes": Val::Blob(bytes) => bytes;
}

impl Row {
    fn val(&self, column: usize) -> Result<&Val> {
        self.0
            .get(column)
            .ok_or_else(|| Error::internal(format!("column {column} of a row of {}", self.0.len())))
    }
}

fn mismatch(column: usize, wanted: &str, got: &Val) -> Error {
    Error::internal(format!("column {column} should be {wanted} and is {got:?}"))
}

/// Refuses what only one of the databases would take, so that the suite on SQLite finds it too.
pub(super) fn check(params: &[Val]) -> Result<()> {
    for param in params {
        match param {
            Val::Text(text) if text.contains('\0') => {
                return Err(Error::invalid("A text value contains the character U+0000."));
            }
            Val::F64(number) if number.is_nan() => {
                return Err(Error::internal("a parameter is not a number"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Values are personal data and hashes of secrets: a log gets only their type and length.
impl fmt::Debug for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Val::Null => f.write_str("NULL"),
            Val::I64(number) => write!(f, "{number}"),
            Val::F64(number) => write!(f, "{number:?}"),
            Val::Text(text) => write!(f, "text of {} bytes", text.len()),
            Val::Blob(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

macro_rules! from {
    ($($type:ty: $value:ident => $val:expr;)*) => {
        $(impl From<$type> for Val { fn from($value: $type) -> Val { $val } })*
    };
}

from! {
    i64: n => Val::I64(n);
    i32: n => Val::I64(n.into());
    u32: n => Val::I64(n.into());
    f64: n => Val::F64(n);
    bool: yes => Val::I64(yes.into());
    String: text => Val::Text(text);
    &String: text => Val::Text(text.clone());
    &str: text => Val::Text(text.to_owned());
    Vec<u8>: bytes => Val::Blob(bytes);
    &Vec<u8>: bytes => Val::Blob(bytes.clone());
    &[u8]: bytes => Val::Blob(bytes.to_vec());
}

impl<const N: usize> From<[u8; N]> for Val {
    fn from(bytes: [u8; N]) -> Val {
        Val::Blob(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Val {
    fn from(bytes: &[u8; N]) -> Val {
        Val::Blob(bytes.to_vec())
    }
}

impl<T: Into<Val>> From<Option<T>> for Val {
    fn from(value: Option<T>) -> Val {
        value.map_or(Val::Null, Into::into)
    }
}

impl rusqlite::ToSql for Val {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Val::Null => ValueRef::Null,
            Val::I64(number) => ValueRef::Integer(*number),
            Val::F64(number) => ValueRef::Real(*number),
            Val::Text(text) => ValueRef::Text(text.as_bytes()),
            Val::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl rusqlite::types::FromSql for Val {
    fn column_result(value: ValueRef<'_>) -> Result<Val, FromSqlError> {
        Ok(match value {
            ValueRef::Null => Val::Null,
            ValueRef::Integer(number) => Val::I64(number),
            ValueRef::Real(number) => Val::F64(number),
            ValueRef::Text(_) => Val::Text(value.as_str()?.to_owned()),
            ValueRef::Blob(bytes) => Val::Blob(bytes.to_vec()),
        })
    }
}

type Converted<T> = Result<T, Box<dyn StdError + Sync + Send>>;

/// The server infers a parameter's type from its place; here the value must fit it. `LIMIT 1 + ?1` is an INT4, hence the
/// narrow types.
impl tokio_postgres::types::ToSql for Val {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Converted<IsNull> {
        match self {
            Val::Null => Ok(IsNull::Yes),
            Val::I64(number) => match *ty {
                Type::INT8 => number.to_sql(ty, out),
                Type::INT4 => i32::try_from(*number)?.to_sql(ty, out),
                Type::INT2 => i16::try_from(*number)?.to_sql(ty, out),
                Type::FLOAT8 => (*number as f64).to_sql(ty, out),
                _ => Err(format!("an integer does not fit the type {ty}").into()),
            },
            Val::F64(number) if *ty == Type::FLOAT8 => number.to_sql(ty, out),
            Val::Text(text) if <&str as tokio_postgres::types::ToSql>::accepts(ty) => {
                text.as_str().to_sql(ty, out)
            }
            Val::Blob(bytes) if *ty == Type::BYTEA => bytes.as_slice().to_sql(ty, out),
            other => Err(format!("{other:?} does not fit the type {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

impl<'a> tokio_postgres::types::FromSql<'a> for Val {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Converted<Val> {
        Ok(match *ty {
            Type::INT8 => Val::I64(i64::from_sql(ty, raw)?),
            Type::INT4 => Val::I64(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Val::I64(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Val::I64(bool::from_sql(ty, raw)?.into()),
            Type::FLOAT8 => Val::F64(f64::from_sql(ty, raw)?),
            Type::BYTEA => Val::Blob(raw.to_vec()),
            _ if <&str as tokio_postgres::types::FromSql>::accepts(ty) => {
                Val::Text(String::from_sql(ty, raw)?)
            }
            _ => return Err(format!("no column may have the type {ty}; add a CAST").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Converted<Val> {
        Ok(Val::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
