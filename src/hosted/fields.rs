//! The fields of forms: what each is called, how browsers and password managers know it, what is wrong with what was typed.
//! `templates/field.html` draws them.

use minijinja::{Value, context};

use super::texts::Texts;
use super::words;
use crate::pool::attributes::{self, Writer};
use crate::pool::password::{self, Rule};
use crate::pool::{Client, Pool};
use crate::site::Params;

/// One input with its label.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// The input's `name` and `id`. Stable: password managers know fields by it.
    pub name: String,
    pub label: String,
    /// The input's `type`.
    pub kind: &'static str,
    pub autocomplete: &'static str,
    pub inputmode: &'static str,
    /// What was typed; never a password.
    pub value: String,
    pub hint: String,
    pub error: String,
    pub max: usize,
    pub autofocus: bool,
    /// The alert above the form says what is wrong with it.
    pub told: bool,
    /// A phone number may be typed here, with whatever stands between its digits.
    pub phones: bool,
    /// What the policy asks of a new password.
    pub rules: Vec<Ask>,
}

/// A rule in words, and whether the refused password kept it.
#[derive(Clone, Debug)]
pub struct Ask {
    pub text: String,
    pub broken: bool,
    pub kept: bool,
}

/// As templates see it.
impl From<Field> for Value {
    fn from(field: Field) -> Value {
        let Field {
            name,
            label,
            kind,
            autocomplete,
            inputmode,
            value,
            hint,
            error,
            max,
            autofocus,
            told,
            rules,
            ..
        } = field;
        context! { name, label, kind, autocomplete, inputmode, value, hint, error, max, autofocus, told, rules }
    }
}

impl From<Ask> for Value {
    fn from(Ask { text, broken, kept }: Ask) -> Value {
        context! { text, broken, kept }
    }
}

/// The longest name and the longest password that Cognito takes.
const NAME: usize = 128;
const PASSWORD: usize = 256;

/// A short field that people type text into.
pub fn text(name: &str, label: String, autocomplete: &'static str) -> Field {
    Field {
        name: name.to_owned(),
        label,
        kind: "text",
        autocomplete,
        max: NAME,
        ..Field::default()
    }
}

/// The name that somebody signs in with: as the pool calls it.
pub fn username(texts: &Texts, pool: &Pool) -> Field {
    let (email, phone) = (pool.signs_in_with("email"), pool.signs_in_with("phone_number"));
    let key = match (email, phone) {
        (true, true) => "email_or_phone",
        (true, false) => "email",
        (false, true) => "phone",
        (false, false) => "username",
    };
    let mut field = text("username", texts.say(key, &[]), "username");
    match (email, phone) {
        (true, false) => field.inputmode = "email",
        (false, true) => field.inputmode = "tel",
        _ => {}
    }
    field.phones = phone || pool.aliases("phone_number");
    field
}

/// The password of a sign-in.
pub fn password(texts: &Texts) -> Field {
    Field {
        name: "password".to_owned(),
        label: texts.say("password", &[]),
        kind: "password",
        autocomplete: "current-password",
        max: PASSWORD,
        ..Field::default()
    }
}

/// A new password in place of one, and the same again, with the policy in words.
pub fn new_password(texts: &Texts, pool: &Pool) -> [Field; 2] {
    password_twice(texts, pool, ["new_password", "new_password_again"])
}

/// The first password of an account.
pub fn first_password(texts: &Texts, pool: &Pool) -> [Field; 2] {
    password_twice(texts, pool, ["password", "password_again"])
}

fn password_twice(texts: &Texts, pool: &Pool, [name, again]: [&str; 2]) -> [Field; 2] {
    let rules = password::rules(&pool.password_policy());
    let ask = |rule: Rule| Ask { text: rule_text(texts, rule), broken: false, kept: false };
    let field = |name: &str| Field {
        name: name.to_owned(),
        label: texts.say(name, &[]),
        kind: "password",
        autocomplete: "new-password",
        max: PASSWORD,
        ..Field::default()
    };
    let mut first = field(name);
    first.rules = rules.into_iter().map(ask).collect();
    [first, field(again)]
}

fn rule_text(texts: &Texts, rule: Rule) -> String {
    match rule {
        Rule::Length(least) => texts.say("rule_length", &[("count", &least.to_string())]),
        Rule::Uppercase => texts.say("rule_uppercase", &[]),
        Rule::Lowercase => texts.say("rule_lowercase", &[]),
        Rule::Number => texts.say("rule_number", &[]),
        Rule::Symbol => texts.say("rule_symbol", &[]),
    }
}

/// A six-digit code: browsers offer it from a message that has just come.
pub fn code(texts: &Texts) -> Field {
    let mut field = text("code", texts.say("code", &[]), "one-time-code");
    field.inputmode = "numeric";
    field.max = 16;
    field
}

/// A standard attribute.
pub fn attribute(texts: &Texts, name: &str) -> Field {
    let (kind, autocomplete) = match name {
        "address" => ("text", "street-address"),
        "birthdate" => ("date", "bday"),
        "email" => ("email", "email"),
        "family_name" => ("text", "family-name"),
        "gender" => ("text", "sex"),
        "given_name" => ("text", "given-name"),
        "locale" => ("text", "language"),
        "middle_name" => ("text", "additional-name"),
        "name" => ("text", "name"),
        "nickname" => ("text", "nickname"),
        "phone_number" => ("tel", "tel"),
        "picture" => ("url", "photo"),
        "profile" | "website" => ("url", "url"),
        "updated_at" => ("number", "off"),
        _ => ("text", "off"),
    };
    let label = match name {
        "email" => texts.say("email", &[]),
        "phone_number" => texts.say("phone", &[]),
        name => texts.say(&format!("attribute_{name}"), &[]),
    };
    let hint = match name {
        "phone_number" => texts.say("hint_phone", &[]),
        _ => String::new(),
    };
    let label = if label.is_empty() { name.to_owned() } else { label };
    Field { name: name.to_owned(), label, kind, autocomplete, hint, max: 2_048, ..Field::default() }
}

impl Field {
    /// Takes what was posted. The value is kept, and shown again if the form is; that of a password never is.
    pub fn read(&mut self, texts: &Texts, form: &Params) -> String {
        let typed = form.get(&self.name).unwrap_or_default();
        if self.kind == "password" {
            self.judge(texts, typed);
            return typed.to_owned();
        }
        let typed: String = match self.kind {
            "tel" => phone(typed.trim()),
            _ if self.phones && attributes::is_phone(&phone(typed.trim())) => phone(typed.trim()),
            _ if self.autocomplete == "one-time-code" => {
                typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect()
            }
            _ => typed.trim().to_owned(),
        };
        self.judge(texts, &typed);
        // Nobody wants to see ten thousand characters again; the field holds no more anyway.
        self.value = typed.chars().take(self.max).filter(|c| !is_hidden(*c)).collect();
        typed
    }

    fn judge(&mut self, texts: &Texts, typed: &str) {
        let hidden = self.kind != "password" && typed.chars().any(is_hidden);
        if typed.is_empty() {
            self.error = texts.say("error_required", &[]);
        } else if typed.chars().count() > self.max {
            self.error = texts.say("error_too_long", &[("count", &self.max.to_string())]);
        } else if hidden {
            self.error = texts.say("error_characters", &[]);
        }
    }

    pub fn refuse(&mut self, error: String) {
        if self.error.is_empty() {
            self.error = error;
        }
    }

    /// Holds an attribute against the pool's schema.
    pub fn check_attribute(&mut self, texts: &Texts, pool: &Pool, client: &Client, typed: &str) {
        let pair = [(self.name.clone(), typed.to_owned())];
        if let Err(error) = attributes::check(pool, Writer::Client(client), false, &pair) {
            self.refuse(words::say(texts, &error));
        }
    }

    /// Shows which rules of the policy a refused password breaks.
    pub fn mark_rules(&mut self, pool: &Pool, password: &str) {
        let rules = password::rules(&pool.password_policy());
        for (ask, rule) in self.rules.iter_mut().zip(rules) {
            ask.kept = rule.holds(password);
            ask.broken = !ask.kept;
        }
    }
}

/// Reads a new password and its repetition, and says what is wrong with them. A form without the second field is not asked for it.
pub fn read_password(fields: &mut [Field; 2], texts: &Texts, pool: &Pool, form: &Params) -> String {
    let [first, again] = fields;
    let password = first.read(texts, form);
    if let Err(error) = password::conforms(&pool.password_policy(), &password) {
        first.refuse(words::say(texts, &error));
        if !password.is_empty() {
            first.mark_rules(pool, &password);
        }
    }
    if first.error.is_empty() && form.has(&again.name) {
        let repeated = again.read(texts, form);
        if repeated != password {
            again.error = texts.say("error_passwords_differ", &[]);
        }
    }
    password
}

/// The first field that is wrong gets the focus; without one, the first that is empty. Says whether one is.
pub fn focus(fields: &mut [&mut Field]) -> bool {
    let wrong = fields.iter().any(|field| !field.error.is_empty());
    for field in fields.iter_mut() {
        let here = if wrong { !field.error.is_empty() } else { field.value.is_empty() };
        if here {
            field.autofocus = true;
            break;
        }
    }
    wrong
}

/// Characters that cannot be seen or that turn the text around them: nobody means to type them, and they can make one name look
/// like another.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A name as it may stand in a sentence: what cannot be seen is left out, and letters of another direction turn nothing around them.
pub fn isolated(name: &str) -> String {
    let seen: String = name.chars().filter(|c| !is_hidden(*c)).collect();
    if seen.is_ascii() { seen } else { format!("\u{2068}{seen}\u{2069}") }
}

/// `+49 (0)170 123-45` is meant as `+4917012345`: what people write between the digits is left out.
fn phone(typed: &str) -> String {
    let digits: String = typed
        .replace("(0)", "")
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}'))
        .collect();
    match digits.strip_prefix("00") {
        Some(rest) => format!("+{rest}"),
        None => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_number_may_be_written_as_people_write_it() {
        for typed in ["+49 (0)170 123-45", "0049 170/12345", "+49.170.12345"] {
            assert_eq!(phone(typed), "+4917012345");
        }
        assert_eq!(phone("0170 12345"), "017012345", "the country is not guessed");
    }
}
