//! Types that scripts define.

use std::collections::HashMap;
use std::sync::Arc;

use hop_powershell_syntax::ast;

use crate::value::{EnumType, TypeRef};

/// A `class`.
#[derive(Debug)]
pub struct ClassType {
    /// Name.
    pub name: String,
    /// Definition.
    pub definition: Arc<ast::TypeDefinition>,
    /// Base class defined in script.
    pub base: Option<Arc<ClassType>>,
}

/// Types by folded name.
#[derive(Debug, Default)]
pub struct TypeRegistry {
    pub(crate) enums: HashMap<String, Arc<EnumType>>,
    pub(crate) classes: HashMap<String, Arc<ClassType>>,
}

impl TypeRegistry {
    /// The type of that name.
    pub fn find(&self, name: &str) -> Option<TypeRef> {
        let key = name.to_lowercase();
        if let Some(e) = self.enums.get(&key) {
            return Some(TypeRef::of_enum(e));
        }
        self.classes.get(&key).map(|c| TypeRef::named(&c.name))
    }
}
