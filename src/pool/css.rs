//! The CSS that SetUICustomization takes: rules for Cognito's class names and nothing else. It is read into tokens that we know, and
//! what a page gets is written anew from those, so nothing of the original text can break out of the style element.

use std::fmt;

/// The classes that the hosted pages carry, as Cognito names them.
pub const CLASSES: &[&str] = &[
    "background-customizable",
    "banner-customizable",
    "errorMessage-customizable",
    "idpButton-customizable",
    "idpDescription-customizable",
    "inputField-customizable",
    "label-customizable",
    "legalText-customizable",
    "logo-customizable",
    "passwordCheck-notValid-customizable",
    "passwordCheck-valid-customizable",
    "redirect-customizable",
    "socialButton-customizable",
    "submitButton-customizable",
    "textDescription-customizable",
];

const PSEUDO_CLASSES: &[&str] = &["active", "focus", "hover"];

/// Functions that compute colours, lengths and shapes. None of them loads, refers or runs anything; one that is not here is refused.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "blur", "brightness", "calc", "circle", "clamp", "color", "color-mix", "conic-gradient", "contrast", "cubic-bezier",
    "drop-shadow", "ellipse", "fit-content", "grayscale", "hsl", "hsla", "hue-rotate", "hwb", "inset", "invert", "lab", "lch",
    "light-dark", "linear-gradient", "max", "min", "minmax", "oklab", "oklch", "opacity", "polygon", "radial-gradient", "repeat",
    "repeating-linear-gradient", "repeating-radial-gradient", "rgb", "rgba", "rotate", "saturate", "scale", "scalex", "scaley", "sepia",
    "skew", "skewx", "skewy", "steps", "translate", "translatex", "translatey",
];

/// Properties through which old browsers ran code.
const CODE: &[&str] = &["behavior", "-ms-behavior", "-moz-binding"];

const MAX_DEPTH: usize = 8;

/// What is wrong, and where: lines and columns count from 1, columns in characters.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub column: usize,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

type Read<T> = Result<T, Fault>;

/// The rules of `text` written anew, one per line; or the first thing in it that is not allowed.
pub fn compile(text: &str) -> Read<String> {
    let mut reader = Reader { rest: text, line: 1, column: 1 };
    let mut out = String::new();
    loop {
        reader.space()?;
        if reader.rest.is_empty() {
            return Ok(out);
        }
        reader.rule(&mut out)?;
        out.push('\n');
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        if c == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn take_if(&mut self, c: char) -> bool {
        self.peek() == Some(c) && self.take().is_some()
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let text = self.rest;
        let end = text.find(|c| !belongs(c)).unwrap_or(text.len());
        let (taken, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        self.rest = rest;
        // No caller takes a line break.
        self.column += taken.chars().count();
        taken
    }

    fn fault<T>(&self, what: impl Into<String>) -> Read<T> {
        Err(Fault { line: self.line, column: self.column, what: what.into() })
    }

    /// Blanks and comments. A comment is never written out.
    fn space(&mut self) -> Read<()> {
        loop {
            if self.rest.starts_with("/*") {
                let begin = (self.line, self.column);
                while !self.rest.starts_with("*/") {
                    if self.take().is_none() {
                        let (line, column) = begin;
                        return Err(Fault { line, column, what: "this comment has no end".into() });
                    }
                }
                self.take();
                self.take();
            } else if matches!(self.peek(), Some(' ' | '\t' | '\r' | '\n' | '\u{c}')) {
                self.take();
            } else {
                return Ok(());
            }
        }
    }

    /// `.label-customizable, .inputField-customizable:focus { .. }`
    fn rule(&mut self, out: &mut String) -> Read<()> {
        loop {
            self.selector(out)?;
            self.space()?;
            match self.peek() {
                Some(',') => {
                    self.take();
                    out.push_str(", ");
                    self.space()?;
                }
                Some('{') => {
                    self.take();
                    break;
                }
                _ => {
                    return self.refuse(
                        "a selector is one class, as in .label-customizable, and then { or a comma",
                    );
                }
            }
        }
        out.push_str(" {");
        loop {
            self.space()?;
            if self.take_if(';') {
                continue;
            }
            if self.take_if('}') {
                out.push_str(" }");
                return Ok(());
            }
            self.declaration(out)?;
        }
    }

    fn selector(&mut self, out: &mut String) -> Read<()> {
        if self.peek() != Some('.') {
            return self
                .refuse("a selector must be one of Cognito's classes, as in .label-customizable");
        }
        let at = Fault { line: self.line, column: self.column, what: String::new() };
        self.take();
        let name = self.take_while(is_name);
        let Some(class) = CLASSES.iter().find(|class| **class == name) else {
            let what = format!(
                ".{} is not a class of the hosted pages; those are {}",
                cut(name),
                CLASSES.join(", ")
            );
            return Err(Fault { what, ..at });
        };
        out.push('.');
        out.push_str(class);
        if self.take_if(':') {
            let name = self.take_while(is_name).to_ascii_lowercase();
            let Some(pseudo) = PSEUDO_CLASSES.iter().find(|pseudo| **pseudo == name) else {
                let what = format!(
                    ":{} is not allowed; only :{} are",
                    cut(&name),
                    PSEUDO_CLASSES.join(", :")
                );
                return Err(Fault { what, ..at });
            };
            out.push(':');
            out.push_str(pseudo);
        }
        Ok(())
    }

    /// `color: #fff`, up to the semicolon or the brace, which stay.
    fn declaration(&mut self, out: &mut String) -> Read<()> {
        if !matches!(self.peek(), Some(c) if c.is_ascii_alphabetic() || c == '-') {
            return self.refuse("a property is expected here, as in color: #123456;");
        }
        let at = Fault { line: self.line, column: self.column, what: String::new() };
        let name = self.take_while(is_name).to_ascii_lowercase();
        if name.starts_with("--") || CODE.contains(&name.as_str()) {
            return Err(Fault {
                what: format!("the property {} is not allowed", cut(&name)),
                ..at
            });
        }
        self.space()?;
        if !self.take_if(':') {
            return self.refuse(&format!("a colon is expected after {}", cut(&name)));
        }
        out.push(' ');
        out.push_str(&name);
        out.push(':');
        let mut open = 0;
        let mut empty = true;
        loop {
            self.space()?;
            match self.peek() {
                Some(';' | '}') | None if empty => {
                    return self.fault(format!("{} has no value", cut(&name)));
                }
                Some(';' | '}') if open == 0 => {
                    out.push(';');
                    return Ok(());
                }
                Some(';' | '}') | None if open > 0 => {
                    return self.fault("a closing parenthesis is missing");
                }
                None => return self.fault("the closing brace } is missing"),
                Some('!') if open == 0 && !empty => {
                    self.take();
                    self.space()?;
                    if !self.take_while(is_name).eq_ignore_ascii_case("important") {
                        return self.fault("only !important may follow an exclamation mark");
                    }
                    out.push_str(" !important");
                    self.space()?;
                    if !matches!(self.peek(), Some(';' | '}')) {
                        return self.fault("!important must be the last word of a value");
                    }
                }
                Some(')') if open > 0 => {
                    self.take();
                    open -= 1;
                    out.push_str(" )");
                }
                Some(c) => {
                    out.push(' ');
                    if self.value(c, open > 0, out)? {
                        open += 1;
                    }
                    if open > MAX_DEPTH {
                        return self.fault("parentheses are nested too deeply");
                    }
                }
            }
            empty = false;
        }
    }

    /// One token of a value; true where it opens a parenthesis.
    fn value(&mut self, first: char, in_function: bool, out: &mut String) -> Read<bool> {
        let mut after = self.rest.chars().skip(1);
        let (second, third) = (after.next(), after.next());
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let number = match first {
            '0'..='9' => true,
            '.' => digit(second),
            '+' | '-' => digit(second) || (second == Some('.') && digit(third)),
            _ => false,
        };
        if number {
            return self.number(out).map(|()| false);
        }
        match first {
            '#' => {
                self.take();
                let digits = self.take_while(|c| c.is_ascii_alphanumeric());
                if !matches!(digits.len(), 3 | 4 | 6 | 8)
                    || !digits.bytes().all(|c| c.is_ascii_hexdigit())
                {
                    return self
                        .fault(format!("#{} is not a colour; write #rgb or #rrggbb", cut(digits)));
                }
                out.push('#');
                out.push_str(digits);
                Ok(false)
            }
            '"' | '\'' => self.string(first, out).map(|()| false),
            ',' | '/' | '+' | '-' | '*'
                if matches!(first, ',' | '/')
                    || (in_function && (first == '*' || !second.is_some_and(is_name))) =>
            {
                self.take();
                out.push(first);
                Ok(false)
            }
            '(' if in_function => {
                self.take();
                out.push('(');
                Ok(true)
            }
            c if c.is_ascii_alphabetic() || c == '-' => self.word(out),
            _ => self.refuse("this has no place in a value"),
        }
    }

    /// `12`, `-1.5em`, `50%`
    fn number(&mut self, out: &mut String) -> Read<()> {
        if let Some(sign @ ('+' | '-')) = self.peek() {
            self.take();
            out.push(sign);
        }
        out.push_str(self.take_while(|c| c.is_ascii_digit()));
        if self.take_if('.') {
            let fraction = self.take_while(|c| c.is_ascii_digit());
            if fraction.is_empty() {
                return self.fault("a digit is expected after the point");
            }
            out.push('.');
            out.push_str(fraction);
        }
        if self.take_if('%') {
            out.push('%');
        } else {
            out.push_str(self.take_while(|c| c.is_ascii_alphabetic()));
        }
        match self.peek() {
            Some(c) if is_name(c) || matches!(c, '(' | '%' | '.') => {
                self.refuse("this is not a number with a unit")
            }
            _ => Ok(()),
        }
    }

    /// A keyword, or a function with its parenthesis.
    fn word(&mut self, out: &mut String) -> Read<bool> {
        let at = Fault { line: self.line, column: self.column, what: String::new() };
        let word = self.take_while(is_name);
        if self.peek() != Some('(') {
            if word.starts_with("--") || word.len() > 128 {
                return Err(Fault { what: format!("{} is not allowed here", cut(word)), ..at });
            }
            out.push_str(word);
            return Ok(false);
        }
        let name = word.to_ascii_lowercase();
        let what = match FUNCTIONS.iter().find(|function| **function == name) {
            Some(function) => {
                self.take();
                out.push_str(function);
                out.push('(');
                return Ok(true);
            }
            None if matches!(name.as_str(), "url" | "src" | "image" | "image-set") => {
                format!(
                    "{name}( is not allowed: the pages load nothing. Set the logo with ImageFile"
                )
            }
            None => format!("the function {}( is not allowed", cut(&name)),
        };
        Err(Fault { what, ..at })
    }

    /// Of printable characters, none of which means anything in HTML or to another string. Written with double quotes.
    fn string(&mut self, quote: char, out: &mut String) -> Read<()> {
        self.take();
        out.push('"');
        loop {
            match self.peek() {
                Some(c) if c == quote => {
                    self.take();
                    out.push('"');
                    return Ok(());
                }
                None | Some('\n' | '\r' | '\u{c}') => {
                    return self.fault("the string has no closing quotation mark on its line");
                }
                Some('"' | '\'' | '\\' | '<' | '>' | '&') => {
                    return self.refuse("a string has plain characters only");
                }
                Some(c) if c.is_control() || is_invisible(c) => {
                    return self.refuse("a string has plain characters only");
                }
                Some(c) => {
                    self.take();
                    out.push(c);
                }
            }
        }
    }

    /// A refusal of the next character, with a better reason where it is a known one.
    fn refuse<T>(&self, otherwise: &str) -> Read<T> {
        let what = match self.peek() {
            Some('@') => {
                let name = self.rest.chars().skip(1).take_while(|c| is_name(*c));
                let name: String = name.take(20).collect();
                format!("@{name} is not allowed: only rules for Cognito's classes are")
            }
            Some('\\') => "escapes are not allowed: write the character itself".to_owned(),
            Some('<' | '>') => "HTML and child selectors are not allowed".to_owned(),
            Some(c) if c.is_ascii_graphic() => format!("unexpected {c}: {otherwise}"),
            Some(c) => format!("unexpected character U+{:04X}: {otherwise}", u32::from(c)),
            None => format!("the CSS ends too early: {otherwise}"),
        };
        self.fault(what)
    }
}

/// ASCII only: whatever looks like a letter and is none is refused.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Characters that turn the direction of text or cannot be seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// For messages: what somebody wrote instead of a name may be long.
fn cut(text: &str) -> &str {
    text.get(..40).unwrap_or(text)
}

#[cfg(test)]
mod tests;
