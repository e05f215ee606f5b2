(function_item name: (_) @name body: (_) @body) @function
(function_signature_item name: (_) @name) @function
(struct_item name: (_) @name body: (_) @body) @class
(struct_item name: (_) @name) @class
(union_item name: (_) @name body: (_) @body) @class
(enum_item name: (_) @name body: (_) @body) @enum
(enum_variant name: (_) @name) @constant
(trait_item name: (_) @name body: (_) @body) @interface
(impl_item type: [(type_identifier) @name (generic_type type: (type_identifier) @name)
                  (scoped_type_identifier name: (_) @name) (reference_type type: (type_identifier) @name)]
  body: (_) @body) @extension
(mod_item name: (_) @name body: (_) @body) @module
(const_item name: (_) @name) @constant
(static_item name: (_) @name) @constant
(type_item name: (_) @name) @type
(associated_type name: (_) @name) @type
(field_declaration name: (_) @name) @field
(macro_definition name: (_) @name) @macro

; `use a::b::{c, d::e}` is two imports: b with c, and d with e
(use_declaration argument: (scoped_identifier path: (_) @module name: (_) @imported)) @import
(use_declaration argument: (identifier) @module) @import
(use_declaration argument: (use_as_clause path: (scoped_identifier path: (_) @module name: (_) @imported))) @import
(use_wildcard (_) @module) @import
(scoped_use_list path: (_) @module list: (use_list [(identifier) @imported (use_as_clause path: (identifier) @imported)]))
  @import
(scoped_use_list list: (use_list (scoped_identifier path: (_) @module name: (_) @imported) @import))
(extern_crate_declaration name: (_) @module) @import
