//! Operands: what a function can be applied to, as far as that does not depend on the values.
//!
//! Responsible for: a call that fails whatever the input is. Must never: refuse what may be; functions that are for most
//! things are not listed.

use super::kinds::Kind;
use super::times;

const TEXT: &[Kind] = &[Kind::String];
const LISTS: &[Kind] = &[Kind::List];
const SIZED: &[Kind] = &[Kind::String, Kind::Bytes, Kind::List, Kind::Map];
const NUMBERS: &[Kind] = &[Kind::Int, Kind::Uint, Kind::Double, Kind::Number];
const MOMENTS: &[Kind] = &[Kind::Timestamp];
const TIMES: &[Kind] = &[Kind::Timestamp, Kind::Duration];

/// What the value that a function is applied to, behind which it is written or which is its first argument, has to be;
/// nothing if that is not known.
pub(super) fn of(function: &str) -> Option<&'static [Kind]> {
    Some(match function {
        "startsWith"
        | "endsWith"
        | "matches"
        | "charAt"
        | "find"
        | "findAll"
        | "format"
        | "lowerAscii"
        | "upperAscii"
        | "replace"
        | "split"
        | "substring"
        | "trim"
        | "strings.quote"
        | "quantity"
        | "isQuantity"
        | "semver"
        | "isSemver"
        | "cidr"
        | "isCIDR"
        | "isIP"
        | "ip.isCanonical"
        | "url"
        | "isURL"
        | "base64.decode"
        | "jsonpatch.escapeKey" => TEXT,
        "distinct" | "first" | "flatten" | "isSorted" | "join" | "last" | "slice" | "sort" | "sum" => LISTS,
        "size" => SIZED,
        "getHours" | "getMinutes" | "getSeconds" | "getMilliseconds" => TIMES,
        "math.abs" | "math.ceil" | "math.floor" | "math.isFinite" | "math.isInf" | "math.isNaN"
        | "math.round" | "math.sign" | "math.sqrt" | "math.trunc" => NUMBERS,
        part if times::PARTS.contains(&part) => MOMENTS,
        _ => return None,
    })
}

/// What the argument of a function behind a value has to be; nothing if that is not known.
pub(super) fn argument_of(function: &str) -> Option<&'static [Kind]> {
    matches!(function, "startsWith" | "endsWith" | "matches" | "find" | "findAll" | "split" | "join")
        .then_some(TEXT)
}

/// Why a function cannot be applied to this; nothing if it can, or if nobody knows.
pub(super) fn mistake(
    function: &str,
    wanted: Option<&[Kind]>,
    found: Kind,
    is_argument: bool,
) -> Option<String> {
    let wanted = wanted.filter(|wanted| found != Kind::Unknown && !wanted.contains(&found))?;
    let meant = match (wanted, found) {
        (MOMENTS | TIMES, Kind::String) if !is_argument => "; write timestamp(…) around it",
        _ => "",
    };
    let place = if is_argument { "takes no argument that is" } else { "is not for" };
    Some(format!("\"{function}\" {place} {}{meant}", found.word()))
}
