//! `NUMBER OPERATOR NUMBER`: reading it, saying exactly where it goes wrong, and working it out in
//! decimal arithmetic.
//!
//! Client and server use the same [`Expression::parse`]: the client to warn before anything is
//! sent, the server because it must not trust that every client did.
//!
//! Deliberately absent: parentheses, precedence, exponents (`1e3`), digit groups (`1_000`), and
//! binary floating point, in which `0.1 + 0.2` is not `0.3`.

use std::fmt;

use rust_decimal::Decimal;

use crate::text::printable_char;

/// The most digits an operand may have, not counting leading zeros and zeros that end a fraction.
///
/// [`Decimal`] holds 96 bits of digits and at most 28 of them after the point: every number of 28
/// digits fits, not every one of 29.
pub const MAX_DIGITS: usize = 28;

/// One operation on two numbers, such as `4.5 / -6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expression {
    left: Decimal,
    operator: Operator,
    right: Decimal,
}

/// What to do with the two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
}

/// The result of an [`Expression`].
///
/// Shown without trailing zeros, never as `-0`, and followed by ` (rounded)` where the exact
/// result has more digits than can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The number.
    pub value: Decimal,
    /// Whether digits were lost: `1 / 3`, but not `1 / 8`.
    pub rounded: bool,
}

/// Why a well-formed expression has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArithmeticError {
    /// The right-hand number of a division is zero.
    #[error("division by zero")]
    DivisionByZero,
    /// The result lies beyond ±79228162514264337593543950335 (2⁹⁶ − 1).
    #[error("overflow: the result is beyond ±{}", Decimal::MAX)]
    Overflow,
}

/// Why a line is not an expression, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Something else was due at this place.
    #[error("at character {}: expected {expected}, found {}", offset + 1, Found(*found))]
    Unexpected {
        /// Characters (not octets) before the offending one; the line's length if it is too short.
        offset: usize,
        /// What should have been there.
        expected: Expected,
        /// What was there; `None` at the end of the line.
        found: Option<char>,
    },
    /// The number that starts here cannot be held exactly.
    #[error("at character {}: the number has {digits} digits, at most {MAX_DIGITS} are kept exactly", offset + 1)]
    TooManyDigits {
        /// Characters before the number.
        offset: usize,
        /// Its digits, counted like [`MAX_DIGITS`].
        digits: usize,
    },
}

/// What the grammar asks for at the place of an [`ExpressionError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The start of a number.
    Number,
    /// A digit, after a sign or a point that stands alone.
    Digit,
    /// The space that ends the first number.
    SpaceAfterNumber,
    /// One of the four operators.
    Operator,
    /// The space that ends the operator.
    SpaceAfterOperator,
    /// Nothing more.
    End,
}

impl Expression {
    /// Reads one line, without its line terminator.
    ///
    /// The grammar is in the README; blanks (spaces and tabs) may surround the expression, and the
    /// typographic `×`, `÷` and `−` are read as `*`, `/` and `-`.
    ///
    /// # Errors
    /// The first place at which the line departs from the grammar.
    pub fn parse(line: &str) -> Result<Self, ExpressionError> {
        let mut cursor = Cursor {
            rest: line,
            offset: 0,
        };
        cursor.skip_blanks();
        let left = cursor.number()?;
        cursor.blanks(Expected::SpaceAfterNumber, Expected::Operator)?;
        let operator = cursor.operator()?;
        cursor.blanks(Expected::SpaceAfterOperator, Expected::Number)?;
        let right = cursor.number()?;
        cursor.skip_blanks();
        match cursor.peek() {
            None => Ok(Self {
                left,
                operator,
                right,
            }),
            Some(_) => Err(cursor.unexpected(Expected::End)),
        }
    }

    /// Works the expression out.
    ///
    /// Exact whenever the result fits in 96 bits of digits with at most 28 of them after the
    /// point; otherwise rounded to the nearest number that does, and marked as rounded. So `1 / 3`
    /// has 28 digits, `100 / 3` has 29, and `1 / 3000`, whose first three decimals are zeros, 25.
    ///
    /// # Errors
    /// Division by zero, or a result that is too large.
    pub fn evaluate(&self) -> Result<Answer, ArithmeticError> {
        let Self {
            left,
            operator,
            right,
        } = *self;
        if operator == Operator::Divide && right.is_zero() {
            return Err(ArithmeticError::DivisionByZero);
        }
        let value = match operator {
            Operator::Add => left.checked_add(right),
            Operator::Subtract => left.checked_sub(right),
            Operator::Multiply => left.checked_mul(right),
            Operator::Divide => left.checked_div(right),
        }
        .ok_or(ArithmeticError::Overflow)?;
        Ok(Answer {
            value: without_trailing_zeros(value),
            rounded: !self.is_exactly(value),
        })
    }

    /// Whether `value`, the possibly rounded result, is the exact one.
    ///
    /// Both are compared as whole numbers at a common scale. Such numbers can need 192 bits, but
    /// remainders modulo 2¹²⁸ are enough: rounding moves a result by less than one unit of its
    /// last place, here always less than 2¹²⁷, so equal remainders mean equal numbers.
    fn is_exactly(&self, value: Decimal) -> bool {
        let Self {
            left,
            operator,
            right,
        } = *self;
        let digits = |number: Decimal, more_places: u32| {
            number
                .mantissa()
                .wrapping_mul(10_i128.wrapping_pow(more_places))
        };
        match operator {
            Operator::Add | Operator::Subtract => {
                let places = left.scale().max(right.scale()).max(value.scale());
                let at_places = |number: Decimal| digits(number, places - number.scale());
                let right = if operator == Operator::Add {
                    right
                } else {
                    -right
                };
                at_places(left).wrapping_add(at_places(right)) == at_places(value)
            }
            // A product or quotient too small to be held became zero, at whatever scale.
            _ if value.is_zero() => left.is_zero() || right.is_zero(),
            Operator::Multiply => is_product(value, left, right),
            Operator::Divide => is_product(left, value, right),
        }
    }
}

/// Whether `product = a × b`, modulo 2¹²⁸ at the smallest common scale.
fn is_product(product: Decimal, a: Decimal, b: Decimal) -> bool {
    let factor_places = a.scale() + b.scale();
    let places = factor_places.max(product.scale());
    let power = |places: u32| 10_i128.wrapping_pow(places);
    product
        .mantissa()
        .wrapping_mul(power(places - product.scale()))
        == a.mantissa()
            .wrapping_mul(b.mantissa())
            .wrapping_mul(power(places - factor_places))
}

/// `54.00` as `54`, and a zero without sign or scale.
fn without_trailing_zeros(number: Decimal) -> Decimal {
    if number.is_zero() {
        Decimal::ZERO
    } else {
        number.normalize()
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.operator, self.right)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)?;
        f.write_str(if self.rounded { " (rounded)" } else { "" })
    }
}

impl ExpressionError {
    /// Characters before the place of the error: the column, from 0, at which a caret belongs.
    ///
    /// Every character before it is one the grammar knows, so none of them is wide or invisible,
    /// and a tab is the only one that does not fill exactly one column.
    pub fn offset(&self) -> usize {
        match self {
            Self::Unexpected { offset, .. } | Self::TooManyDigits { offset, .. } => *offset,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "a number",
            Self::Digit => "a digit",
            Self::SpaceAfterNumber => "a space after the number",
            Self::Operator => "an operator (+ - * /)",
            Self::SpaceAfterOperator => "a space after the operator",
            Self::End => "the end of the line",
        })
    }
}

/// A character, or the lack of one, in an error message.
struct Found(Option<char>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(char) => write!(f, "`{}`", printable_char(char)),
            None => f.write_str("the end of the line"),
        }
    }
}

/// What is left of the line, and how many characters have been read.
struct Cursor<'a> {
    rest: &'a str,
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Takes the next character if it passes the test.
    fn take(&mut self, test: impl Fn(char) -> bool) -> Option<char> {
        let mut chars = self.rest.chars();
        let char = chars.next().filter(|&char| test(char))?;
        self.rest = chars.as_str();
        self.offset += 1;
        Some(char)
    }

    fn take_digits(&mut self) -> &'a str {
        let is_other = |octet: u8| !octet.is_ascii_digit();
        let end = self.rest.bytes().position(is_other);
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        self.offset += digits.len();
        digits
    }

    fn skip_blanks(&mut self) {
        while self.take(is_blank).is_some() {}
    }

    /// At least one blank. At the end of the line it is not the blank that one misses, but what
    /// should follow it.
    fn blanks(&mut self, blank: Expected, next: Expected) -> Result<(), ExpressionError> {
        match self.peek() {
            None => Err(self.unexpected(next)),
            Some(char) if !is_blank(char) => Err(self.unexpected(blank)),
            Some(_) => {
                self.skip_blanks();
                Ok(())
            }
        }
    }

    fn number(&mut self) -> Result<Decimal, ExpressionError> {
        let offset = self.offset;
        let sign = self.take(|char| matches!(char, '+' | '-' | '−'));
        let integer = self.take_digits();
        let point = self.take(|char| char == '.');
        let fraction = if point.is_some() {
            self.take_digits()
        } else {
            ""
        };
        if integer.is_empty() && fraction.is_empty() {
            let nothing_yet = sign.is_none() && point.is_none();
            let expected = if nothing_yet {
                Expected::Number
            } else {
                Expected::Digit
            };
            return Err(self.unexpected(expected));
        }

        let integer = integer.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let digits = integer.len() + fraction.len();
        if digits > MAX_DIGITS {
            return Err(ExpressionError::TooManyDigits { offset, digits });
        }
        let magnitude = integer
            .bytes()
            .chain(fraction.bytes())
            .fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
        let negative = matches!(sign, Some('-' | '−'));
        let signed = if negative { -magnitude } else { magnitude };
        Ok(Decimal::from_i128_with_scale(signed, fraction.len() as u32))
    }

    fn operator(&mut self) -> Result<Operator, ExpressionError> {
        let operator = match self.peek() {
            Some('+') => Operator::Add,
            Some('-' | '−') => Operator::Subtract,
            Some('*' | '×') => Operator::Multiply,
            Some('/' | '÷') => Operator::Divide,
            _ => return Err(self.unexpected(Expected::Operator)),
        };
        self.take(|_| true);
        Ok(operator)
    }

    fn unexpected(&self, expected: Expected) -> ExpressionError {
        ExpressionError::Unexpected {
            offset: self.offset,
            expected,
            found: self.peek(),
        }
    }
}

fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t')
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;

    use super::*;

    /// `= ANSWER`, or the error, as one text.
    #[track_caller]
    fn check(line: &str, expected: &str) {
        let got = match Expression::parse(line).map(|expression| expression.evaluate()) {
            Ok(Ok(answer)) => format!("= {answer}"),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "for {line:?}");
    }

    #[test]
    fn the_lines_of_the_lab_sheet_are_worked_out() {
        check("12 + 42", "= 54");
        check("3.24 * 45", "= 145.8");
        check("4.5 / -6", "= -0.75");
        check("4.5 / 6", "= 0.75");
        check(
            "3.24 45",
            "at character 6: expected an operator (+ - * /), found `4`",
        );
    }

    #[test]
    fn arithmetic_is_decimal_and_exact() {
        check("0.1 + 0.2", "= 0.3");
        check("1.10 + 2.90", "= 4");
        check("100 - 0.00", "= 100");
        check("1000 * 1000", "= 1000000");
        check("1 / 8", "= 0.125");
        check("9007199254740993 + 0", "= 9007199254740993");
        check(
            "9999999999999999999999999999 + 1",
            "= 10000000000000000000000000000",
        );
        check(
            "0.0000000000000000000000000001 * 10",
            "= 0.000000000000000000000000001",
        );
    }

    #[test]
    fn zero_has_no_sign_and_no_decimals() {
        check("-0 * 5", "= 0");
        check("-0.00 + -0", "= 0");
        check("0 / -7", "= 0");
        check("5 - 5.000", "= 0");
    }

    #[test]
    fn a_result_that_cannot_be_held_is_rounded_to_the_nearest_and_says_so() {
        check("1 / 3", "= 0.3333333333333333333333333333 (rounded)");
        check("2 / 3", "= 0.6666666666666666666666666667 (rounded)");
        check("-2 / 3", "= -0.6666666666666666666666666667 (rounded)");
        check("100 / 3", "= 33.333333333333333333333333333 (rounded)");
        check("1 / 3000", "= 0.0003333333333333333333333333 (rounded)");
        check(
            "1111111111111111111111111111 + 0.1",
            "= 1111111111111111111111111111.1",
        );
        check(
            "1111111111111111111111111111 + 0.11",
            "= 1111111111111111111111111111.1 (rounded)",
        );
        check("0.0000000000000000000000000001 * 0.1", "= 0 (rounded)");
        check("0.0000000000000000000000000001 / 10", "= 0 (rounded)");
    }

    #[test]
    fn division_by_zero_and_overflow_are_answers() {
        check("4 / 0", "division by zero");
        check("0 / -0.00", "division by zero");
        check(
            "9999999999999999999999999999 * 8",
            "overflow: the result is beyond ±79228162514264337593543950335",
        );
        check(
            "9999999999999999999999999999 / 0.001",
            "overflow: the result is beyond ±79228162514264337593543950335",
        );
    }

    #[test]
    fn signs_points_blanks_and_typographic_operators_are_read() {
        check("+1 - -2", "= 3");
        check(".5 * 4.", "= 2");
        check("  12   +\t42  ", "= 54");
        check("6 × 7", "= 42");
        check("42 ÷ −6", "= -7");
        check("1 − 3", "= -2");
        check(
            "0000000000000000000000000000000001.50000000000000000000000000000 * 2",
            "= 3",
        );
    }

    #[test]
    fn a_malformed_line_is_refused_at_its_first_wrong_character() {
        check(
            "",
            "at character 1: expected a number, found the end of the line",
        );
        check(
            "   ",
            "at character 4: expected a number, found the end of the line",
        );
        check("hello", "at character 1: expected a number, found `h`");
        check(
            "12",
            "at character 3: expected an operator (+ - * /), found the end of the line",
        );
        check(
            "12 +",
            "at character 5: expected a number, found the end of the line",
        );
        check(
            "12 + ",
            "at character 6: expected a number, found the end of the line",
        );
        check(
            "12+42",
            "at character 3: expected a space after the number, found `+`",
        );
        check(
            "12 +42",
            "at character 5: expected a space after the operator, found `4`",
        );
        check(
            "1,5 + 2",
            "at character 2: expected a space after the number, found `,`",
        );
        check(
            "1e3 + 2",
            "at character 2: expected a space after the number, found `e`",
        );
        check("- + 2", "at character 2: expected a digit, found ` `");
        check(". + 2", "at character 2: expected a digit, found ` `");
        check(
            "1 ^ 2",
            "at character 3: expected an operator (+ - * /), found `^`",
        );
        check(
            "1 + 2 + 3",
            "at character 7: expected the end of the line, found `+`",
        );
        check(
            "1 + 2x",
            "at character 6: expected the end of the line, found `x`",
        );
        check("6 × seven", "at character 5: expected a number, found `s`");
        check(
            "1 + \x1b[31m",
            "at character 5: expected a number, found `\\x1b`",
        );
        check("٣ + 1", "at character 1: expected a number, found `٣`");
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused_not_rounded() {
        check(
            "1 + 12345678901234567890123456789",
            "at character 5: the number has 29 digits, at most 28 are kept exactly",
        );
        check(
            "0.12345678901234567890123456789 + 1",
            "at character 1: the number has 29 digits, at most 28 are kept exactly",
        );
        check(
            "1 + 0.1234567890123456789012345678",
            "= 1.1234567890123456789012345678",
        );
    }

    fn any_number() -> impl Strategy<Value = Decimal> {
        let limit = 10_i128.pow(MAX_DIGITS as u32);
        // Short numbers too: uniform ones nearly all have 28 digits.
        let magnitude = (0..=limit - 1, 0..=28_u32).prop_map(|(all, cut)| all / 10_i128.pow(cut));
        (magnitude, any::<bool>(), 0..=28_u32).prop_map(|(magnitude, negative, places)| {
            let mantissa = if negative { -magnitude } else { magnitude };
            without_trailing_zeros(Decimal::from_i128_with_scale(mantissa, places))
        })
    }

    fn any_expression() -> impl Strategy<Value = Expression> {
        use Operator::{Add, Divide, Multiply, Subtract};
        let operator = prop::sample::select(vec![Add, Subtract, Multiply, Divide]);
        (any_number(), operator, any_number()).prop_map(|(left, operator, right)| Expression {
            left,
            operator,
            right,
        })
    }

    /// A decimal as a fraction of whole numbers without limit.
    fn fraction(number: Decimal) -> (BigInt, BigInt) {
        (
            BigInt::from(number.mantissa()),
            BigInt::from(10).pow(number.scale()),
        )
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(expression in any_expression()) {
            prop_assert_eq!(Expression::parse(&expression.to_string()), Ok(expression));
        }

        #[test]
        fn any_text_is_read_or_refused_within_the_line(line in any::<String>()) {
            if let Err(error) = Expression::parse(&line) {
                prop_assert!(error.offset() <= line.chars().count());
            }
        }

        #[test]
        fn nearly_right_text_is_read_or_refused_within_the_line(line in "[ \t0-9.,+*/×÷−é😀-]{0,12}") {
            if let Err(error) = Expression::parse(&line) {
                let before: String = line.chars().take(error.offset()).collect();
                prop_assert!(line.starts_with(&before));
                prop_assert!(before.chars().all(|char| "0123456789.+-*/×÷− \t".contains(char)));
                if let ExpressionError::Unexpected { found, offset, .. } = error {
                    prop_assert_eq!(found, line.chars().nth(offset));
                }
            }
        }

        #[test]
        fn an_answer_is_exact_or_the_nearest_and_says_which(expression in any_expression()) {
            let Expression { left, operator, right } = expression;
            let (a, a_under) = fraction(left);
            let (b, b_under) = fraction(right);
            if let Ok(answer) = expression.evaluate() {
                let (exact, exact_under) = match operator {
                    Operator::Add => (&a * &b_under + &b * &a_under, a_under * b_under),
                    Operator::Subtract => (&a * &b_under - &b * &a_under, a_under * b_under),
                    Operator::Multiply => (a * b, a_under * b_under),
                    Operator::Divide => (a * b_under, a_under * b),
                };
                let (value, value_under) = fraction(answer.value);
                let error = &exact * &value_under - &value * &exact_under;
                prop_assert_eq!(answer.rounded, error != BigInt::ZERO);

                // The nearest number that can be held: off by half a unit of the last place.
                let most = BigInt::from(Decimal::MAX.mantissa());
                let unit = |places: u32| BigInt::from(10).pow(places);
                let fits = |places: &u32| &value * unit(*places) <= &most * &value_under
                    && &value * unit(*places) >= -&most * &value_under;
                let places = (0..=28).rev().find(fits).expect("every answer can be held");
                let limit = exact_under * value_under;
                let twice = BigInt::from(2) * error * unit(places);
                let limit = if limit < BigInt::ZERO { -limit } else { limit };
                prop_assert!(-&limit <= twice && twice <= limit);
            }
        }
    }
}
