//! The syntax tree.
//!
//! Every node carries the span of the text it came from; a [`ScriptBlock`] also holds the
//! [`Source`], so that a script block value can be passed around on its own.

use std::sync::Arc;

use crate::source::{Source, Span};

/// A script, a function's body or a `{ … }` literal.
#[derive(Debug)]
pub struct ScriptBlock {
    /// The text the spans point into.
    pub source: Arc<Source>,
    /// The whole block with its braces (for a script: the whole text).
    pub span: Span,
    /// The text between the braces (what `ToString()` gives).
    pub body_span: Span,
    /// `using` statements at the start of a script.
    pub using: Vec<UsingStatement>,
    /// `#requires` lines of a script.
    pub requires: Vec<Requirement>,
    /// Attributes and `param(…)`.
    pub param_block: Option<ParamBlock>,
    /// `dynamicparam { … }`.
    pub dynamic_param: Option<NamedBlock>,
    /// `begin { … }`.
    pub begin: Option<NamedBlock>,
    /// `process { … }`.
    pub process: Option<NamedBlock>,
    /// `end { … }`, or the statements of a block without named blocks.
    pub end: Option<NamedBlock>,
    /// `clean { … }`.
    pub clean: Option<NamedBlock>,
    /// Comment-based help, or any comment right before or in the block: the raw comment texts.
    pub help: Vec<String>,
}

/// The statements of a `begin`, `process`, `end`, `clean` or `dynamicparam` block.
#[derive(Debug)]
pub struct NamedBlock {
    /// Where it stands.
    pub span: Span,
    /// Whether the keyword was left out (the usual body of a script or function).
    pub unnamed: bool,
    /// Its statements and traps.
    pub body: Block,
}

/// A list of statements, with the `trap`s that guard them.
#[derive(Debug, Default)]
pub struct Block {
    /// Where it stands, with braces if there are any.
    pub span: Span,
    /// In order.
    pub statements: Vec<Statement>,
    /// Traps stand for the whole block, wherever they are written in it.
    pub traps: Vec<Trap>,
}

/// `trap [type] { … }`.
#[derive(Debug)]
pub struct Trap {
    /// The whole statement.
    pub span: Span,
    /// The exception type it is for; none: all.
    pub type_name: Option<TypeName>,
    /// What it does.
    pub body: Block,
}

/// `using namespace X`, `using module X`, …
#[derive(Clone, Debug)]
pub struct UsingStatement {
    /// The whole statement.
    pub span: Span,
    /// `namespace`, `module`, `assembly` or `type`, lower case.
    pub kind: String,
    /// The name.
    pub name: String,
}

/// One `#requires` condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// `-Version N[.N]`.
    Version(String),
    /// `-Modules a, b`.
    Modules(Vec<String>),
    /// `-PSEdition Core`.
    Edition(String),
    /// `-RunAsAdministrator`.
    Administrator,
}

/// `[CmdletBinding()] param(…)`.
#[derive(Debug)]
pub struct ParamBlock {
    /// From the first attribute to the closing parenthesis.
    pub span: Span,
    /// Attributes in front of `param`.
    pub attributes: Vec<Attribute>,
    /// The parameters.
    pub parameters: Vec<Parameter>,
}

/// One declared parameter.
#[derive(Debug)]
pub struct Parameter {
    /// With attributes and default value.
    pub span: Span,
    /// Attributes and type constraints in source order.
    pub attributes: Vec<Attribute>,
    /// Name without `$`.
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// Default value.
    pub default: Option<Expr>,
}

/// `[Name(args, Name = value)]` or a type constraint `[int]`.
#[derive(Debug)]
pub struct Attribute {
    /// With brackets.
    pub span: Span,
    /// The name; for a type constraint the type.
    pub type_name: TypeName,
    /// Positional arguments.
    pub positional: Vec<Expr>,
    /// Named arguments; a missing value means `$true`.
    pub named: Vec<(String, Option<Expr>)>,
    /// Whether it is a plain `[type]` (no parentheses).
    pub is_type: bool,
}

/// A type's name as written: generic arguments and array ranks taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeName {
    /// Without the brackets of a literal.
    pub span: Span,
    /// Full name as written, without generic arguments and array ranks.
    pub name: String,
    /// Generic arguments.
    pub args: Vec<TypeName>,
    /// Array ranks from inner to outer: `int[][,]` is `[1, 2]`.
    pub ranks: Vec<u8>,
}

impl TypeName {
    /// The name as it would be written.
    pub fn display(&self) -> String {
        let mut out = self.name.clone();
        if !self.args.is_empty() {
            let args: Vec<_> = self.args.iter().map(Self::display).collect();
            out.push('[');
            out.push_str(&args.join(","));
            out.push(']');
        }
        for rank in &self.ranks {
            out.push('[');
            out.extend(std::iter::repeat_n(',', usize::from(*rank).saturating_sub(1)));
            out.push(']');
        }
        out
    }
}

/// A statement.
#[derive(Debug)]
pub struct Statement {
    /// The whole statement.
    pub span: Span,
    /// What it is.
    pub kind: StatementKind,
}

/// The kinds of statements.
#[derive(Debug)]
pub enum StatementKind {
    /// A pipeline, perhaps of one expression.
    Pipeline(Pipeline),
    /// `a && b || c`: the first and what follows.
    Chain {
        /// The first pipeline.
        first: Pipeline,
        /// The others, with `true` for `&&`.
        rest: Vec<(bool, Pipeline)>,
        /// Ended by `&`.
        background: bool,
    },
    /// `target op= value`.
    Assign(Box<Assignment>),
    /// `if … elseif … else`.
    If {
        /// Conditions and bodies.
        clauses: Vec<(Statement, Block)>,
        /// `else`.
        otherwise: Option<Block>,
    },
    /// `while`, `do … while`, `do … until`.
    While(Box<Loop>),
    /// `for`.
    For(Box<ForLoop>),
    /// `foreach`.
    Foreach(Box<ForeachLoop>),
    /// `switch`.
    Switch(Box<Switch>),
    /// `try`.
    Try(Box<Try>),
    /// `function`, `filter`, `workflow`.
    Function(Arc<FunctionDefinition>),
    /// `class` or `enum`.
    Type(Arc<TypeDefinition>),
    /// `return [pipeline]`.
    Return(Option<Box<Statement>>),
    /// `throw [pipeline]`.
    Throw(Option<Box<Statement>>),
    /// `exit [pipeline]`.
    Exit(Option<Box<Statement>>),
    /// `break [label]`.
    Break(Option<Expr>),
    /// `continue [label]`.
    Continue(Option<Expr>),
    /// `data { … }`.
    Data {
        /// Variable to set.
        name: Option<String>,
        /// Body.
        body: Block,
    },
    /// A statement that could not be parsed.
    Error,
}

/// An assignment.
#[derive(Debug)]
pub struct Assignment {
    /// What is assigned to.
    pub target: Expr,
    /// `=`, `+=`, ….
    pub op: AssignOp,
    /// Where the operator stands.
    pub op_span: Span,
    /// The right side.
    pub value: Statement,
}

/// Assignment operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssignOp {
    /// `=`
    Set,
    /// `+=`
    Add,
    /// `-=`
    Sub,
    /// `*=`
    Mul,
    /// `/=`
    Div,
    /// `%=`
    Rem,
    /// `??=`
    Coalesce,
}

/// `while`/`do`.
#[derive(Debug)]
pub struct Loop {
    /// `:label`.
    pub label: Option<String>,
    /// The condition; none after an error.
    pub condition: Option<Statement>,
    /// The body.
    pub body: Block,
    /// Body first (`do`).
    pub body_first: bool,
    /// `until` instead of `while`.
    pub until: bool,
}

/// `for (init; cond; step) { … }`.
#[derive(Debug)]
pub struct ForLoop {
    /// `:label`.
    pub label: Option<String>,
    /// Initialiser.
    pub init: Option<Statement>,
    /// Condition.
    pub condition: Option<Statement>,
    /// Iterator.
    pub step: Option<Statement>,
    /// Body.
    pub body: Block,
}

/// `foreach ($x in …) { … }`.
#[derive(Debug)]
pub struct ForeachLoop {
    /// `:label`.
    pub label: Option<String>,
    /// The variable.
    pub variable: VariablePath,
    /// The variable's span.
    pub variable_span: Span,
    /// What is gone through.
    pub items: Statement,
    /// Body.
    pub body: Block,
}

/// How `switch` compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchMode {
    /// Equality.
    Exact,
    /// `-Wildcard`.
    Wildcard,
    /// `-Regex`.
    Regex,
}

/// `switch`.
#[derive(Debug)]
pub struct Switch {
    /// `:label`.
    pub label: Option<String>,
    /// Comparison.
    pub mode: SwitchMode,
    /// `-CaseSensitive`.
    pub case_sensitive: bool,
    /// `-File`: the condition names a file.
    pub file: bool,
    /// What is looked at.
    pub condition: Statement,
    /// Clauses.
    pub clauses: Vec<(Expr, Block)>,
    /// `default`.
    pub default: Option<Block>,
}

/// `try`.
#[derive(Debug)]
pub struct Try {
    /// Guarded statements.
    pub body: Block,
    /// `catch [types] { … }`; no types: all.
    pub catches: Vec<Catch>,
    /// `finally { … }`.
    pub finally: Option<Block>,
}

/// One catch clause.
#[derive(Debug)]
pub struct Catch {
    /// The whole clause.
    pub span: Span,
    /// Exception types.
    pub types: Vec<TypeName>,
    /// Body.
    pub body: Block,
}

/// A function.
#[derive(Debug)]
pub struct FunctionDefinition {
    /// The whole statement.
    pub span: Span,
    /// Its name, perhaps with a scope (`global:f`).
    pub name: String,
    /// Where the name stands.
    pub name_span: Span,
    /// `filter`.
    pub is_filter: bool,
    /// Parameters in parentheses after the name.
    pub parameters: Option<Vec<Parameter>>,
    /// The body.
    pub body: Arc<ScriptBlock>,
}

/// `class` or `enum`.
#[derive(Debug)]
pub struct TypeDefinition {
    /// The whole statement.
    pub span: Span,
    /// The name.
    pub name: String,
    /// Attributes before it.
    pub attributes: Vec<Attribute>,
    /// `enum` instead of `class`.
    pub is_enum: bool,
    /// Base class and interfaces (enum: underlying type).
    pub bases: Vec<TypeName>,
    /// Members in order.
    pub members: Vec<TypeMember>,
    /// The text the spans point into.
    pub source: Arc<Source>,
}

/// A member of a class or enum.
#[derive(Debug)]
pub struct TypeMember {
    /// The whole member.
    pub span: Span,
    /// Name.
    pub name: String,
    /// `static`.
    pub is_static: bool,
    /// `hidden`.
    pub is_hidden: bool,
    /// Property or return type.
    pub type_name: Option<TypeName>,
    /// Attributes.
    pub attributes: Vec<Attribute>,
    /// What it is.
    pub kind: TypeMemberKind,
}

/// The kinds of members.
#[derive(Debug)]
pub enum TypeMemberKind {
    /// A property with an initial value, or an enum label with its value.
    Property(Option<Expr>),
    /// A method or (named as its class) constructor.
    Method {
        /// Parameters.
        parameters: Vec<Parameter>,
        /// Arguments of `: base(…)`.
        base_args: Option<Vec<Expr>>,
        /// The body.
        body: Arc<ScriptBlock>,
    },
}

/// `a | b | c`, perhaps in the background.
#[derive(Debug)]
pub struct Pipeline {
    /// The whole pipeline.
    pub span: Span,
    /// At least one.
    pub elements: Vec<PipelineElement>,
    /// `&` at the end.
    pub background: bool,
}

/// One element of a pipeline.
#[derive(Debug)]
pub struct PipelineElement {
    /// With redirections.
    pub span: Span,
    /// What it is.
    pub kind: ElementKind,
    /// `>`, `2>&1`, ….
    pub redirections: Vec<Redirection>,
}

/// An expression (only first) or a command.
#[derive(Debug)]
pub enum ElementKind {
    /// An expression.
    Expression(Expr),
    /// A command.
    Command(Command),
}

/// A command with its arguments.
#[derive(Debug)]
pub struct Command {
    /// Without redirections.
    pub span: Span,
    /// How it is started.
    pub invocation: Invocation,
    /// The command's name or what is called.
    pub name: Expr,
    /// Parameters and arguments.
    pub elements: Vec<CommandElement>,
}

/// How a command is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// By its name.
    Plain,
    /// `&`
    Call,
    /// `.`
    Dot,
}

/// A parameter or an argument of a command.
#[derive(Debug)]
pub enum CommandElement {
    /// `-Name` or `-Name:value`.
    Parameter {
        /// With dash and value.
        span: Span,
        /// Dash and name only.
        name_span: Span,
        /// Without dash and colon.
        name: String,
        /// Value after a colon.
        argument: Option<Expr>,
    },
    /// Anything else; a splatted variable is [`ExprKind::Variable`] with `splatted`.
    Argument(Expr),
    /// All after `--%`, verbatim.
    Verbatim(String),
}

impl CommandElement {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Parameter { span, .. } => *span,
            Self::Argument(e) => e.span,
            Self::Verbatim(_) => Span::default(),
        }
    }
}

/// A stream of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// `*`
    All,
    /// 1
    Output,
    /// 2
    Error,
    /// 3
    Warning,
    /// 4
    Verbose,
    /// 5
    Debug,
    /// 6
    Information,
}

/// A redirection.
#[derive(Debug)]
pub struct Redirection {
    /// The whole redirection.
    pub span: Span,
    /// What is redirected.
    pub from: Stream,
    /// Where to.
    pub to: RedirectTarget,
}

/// Where a stream goes.
#[derive(Debug)]
pub enum RedirectTarget {
    /// `> file`, `>> file`.
    File {
        /// Its name.
        path: Expr,
        /// `>>`.
        append: bool,
    },
    /// `2>&1`.
    Output,
}

/// An expression.
#[derive(Debug)]
pub struct Expr {
    /// The whole expression.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// A numeric literal.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// `[sbyte]`, suffix `y`.
    SByte(i8),
    /// `[byte]`, suffix `uy`.
    Byte(u8),
    /// `[int16]`, suffix `s`.
    Int16(i16),
    /// `[uint16]`, suffix `us`.
    UInt16(u16),
    /// `[int]`.
    Int32(i32),
    /// `[uint]`, suffix `u`.
    UInt32(u32),
    /// `[long]`.
    Int64(i64),
    /// `[ulong]`.
    UInt64(u64),
    /// `[double]`.
    Double(f64),
    /// `[decimal]`: digits as written, times the multiplier.
    Decimal(String, u64),
    /// `[bigint]`: decimal digits with sign (multiplier applied separately).
    BigInt(String, u64),
}

/// How a string was quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// `'…'`
    Single,
    /// `"…"`
    Double,
    /// `@'…'@`
    SingleHere,
    /// `@"…"@`
    DoubleHere,
    /// Not at all (a command argument).
    Bare,
}

/// A piece of an expandable string.
#[derive(Debug)]
pub enum StringPart {
    /// As it stands.
    Text(String),
    /// `$x` or `$(…)`.
    Expr(Expr),
}

/// A variable's name with its scope or drive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VariablePath {
    /// `global`, `script`, `local`, `private`, `using`, `variable`, `env`, `function`, … as written.
    pub drive: Option<String>,
    /// The name without it.
    pub name: String,
}

impl VariablePath {
    /// As written after `$`.
    pub fn display(&self) -> String {
        match &self.drive {
            Some(d) => format!("{d}:{}", self.name),
            None => self.name.clone(),
        }
    }
}

/// The kinds of expressions.
#[derive(Debug)]
pub enum ExprKind {
    /// A number.
    Number(Number),
    /// A string without anything to expand.
    String(String, Quote),
    /// A string with variables or sub-expressions.
    Expandable(Vec<StringPart>, Quote),
    /// `$x`, `@x`.
    Variable {
        /// Its name.
        path: VariablePath,
        /// `@x`.
        splatted: bool,
    },
    /// `$using:x` and `$using:x.y[0]`.
    Using(Box<Expr>),
    /// `[type]`.
    Type(TypeName),
    /// `[type]expr`.
    Cast(TypeName, Box<Expr>),
    /// `[Attribute()]expr`.
    Attributed(Box<Attribute>, Box<Expr>),
    /// `left op right`.
    Binary {
        /// Operator.
        op: BinaryOp,
        /// Where it stands.
        op_span: Span,
        /// Left side.
        left: Box<Expr>,
        /// Right side.
        right: Box<Expr>,
    },
    /// `op operand`.
    Unary(UnaryOp, Box<Expr>),
    /// `c ? a : b`.
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `a, b`.
    Array(Vec<Expr>),
    /// `@( … )`.
    ArrayExpr(Block),
    /// `$( … )`.
    SubExpr(Block),
    /// `( … )`.
    Paren(Box<Statement>),
    /// `@{ … }`.
    Hashtable(Vec<(Expr, Statement)>),
    /// `{ … }`.
    ScriptBlock(Arc<ScriptBlock>),
    /// `a.b`, `a::b`, `a?.b`.
    Member {
        /// Of what.
        target: Box<Expr>,
        /// Name: a string literal or any expression.
        member: Box<Expr>,
        /// `::`.
        is_static: bool,
        /// `?.`.
        null_conditional: bool,
    },
    /// `a.b(args)`.
    Invoke {
        /// Of what.
        target: Box<Expr>,
        /// Name.
        member: Box<Expr>,
        /// Arguments.
        args: Vec<Expr>,
        /// `::`.
        is_static: bool,
        /// `?.`.
        null_conditional: bool,
        /// `a.b[int]()`.
        type_args: Vec<TypeName>,
    },
    /// `a[i]`, `a?[i]`.
    Index {
        /// Of what.
        target: Box<Expr>,
        /// The index.
        index: Box<Expr>,
        /// `?[`.
        null_conditional: bool,
    },
    /// Could not be parsed.
    Error,
}

/// Binary operators. Comparison operators carry whether they look at case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Range,
    Format,
    And,
    Or,
    Xor,
    BAnd,
    BOr,
    BXor,
    Shl,
    Shr,
    Coalesce,
    Is,
    IsNot,
    As,
    Join,
    Eq(Case),
    Ne(Case),
    Gt(Case),
    Ge(Case),
    Lt(Case),
    Le(Case),
    Like(Case),
    NotLike(Case),
    Match(Case),
    NotMatch(Case),
    Replace(Case),
    Split(Case),
    Contains(Case),
    NotContains(Case),
    In(Case),
    NotIn(Case),
}

/// Whether an operator looks at case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `-ieq` or `-eq`.
    Insensitive,
    /// `-ceq`.
    Sensitive,
}

/// Unary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum UnaryOp {
    /// `-not`, `!`
    Not,
    BNot,
    Plus,
    Minus,
    /// `,x`
    Comma,
    Split(Case),
    Join,
    PreIncrement,
    PreDecrement,
    PostIncrement,
    PostDecrement,
}

impl Command {
    /// The command's name when it is a plain word or string.
    pub fn literal_name(&self) -> Option<&str> {
        match &self.name.kind {
            ExprKind::String(s, _) => Some(s),
            _ => None,
        }
    }
}

impl PipelineElement {
    /// The expression, if it is one.
    pub fn as_expression(&self) -> Option<&Expr> {
        match &self.kind {
            ElementKind::Expression(e) => Some(e),
            ElementKind::Command(_) => None,
        }
    }
}

impl Statement {
    /// The expression, if the statement is nothing but one without redirections.
    pub fn as_pure_expression(&self) -> Option<&Expr> {
        match &self.kind {
            StatementKind::Pipeline(p) if p.elements.len() == 1 && !p.background => {
                let first = p.elements.first()?;
                if first.redirections.is_empty() { first.as_expression() } else { None }
            }
            _ => None,
        }
    }
}
