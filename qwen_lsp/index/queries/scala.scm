(class_definition name: (_) @name body: (_) @body) @class
(class_definition name: (_) @name) @class
(object_definition name: (_) @name body: (_) @body) @class
(object_definition name: (_) @name) @class
(trait_definition name: (_) @name body: (_) @body) @interface
(trait_definition name: (_) @name) @interface
(enum_definition name: (_) @name body: (_) @body) @enum
(simple_enum_case name: (_) @name) @constant
(full_enum_case name: (_) @name) @constant
(given_definition name: (_) @name body: (_) @body) @class
(function_definition name: (_) @name body: (_) @body) @function
(function_declaration name: (_) @name) @function
(val_definition pattern: (identifier) @name) @variable
(var_definition pattern: (identifier) @name) @variable
(val_declaration name: (_) @name) @variable
(var_declaration name: (_) @name) @variable
(type_definition name: (_) @name) @type

(annotation) @decorator

; The path is one node per step: the last one and what stands in braces are the names
(import_declaration path: (_) @module . [(namespace_selectors) (namespace_wildcard)]) @import
(import_declaration path: (_) @module . (namespace_selectors [(identifier) @imported (arrow_renamed_identifier name: (_) @imported)]))
  @import
(import_declaration path: (_) @module . path: (_) @imported .) @import
