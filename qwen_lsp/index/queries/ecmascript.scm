; What JavaScript and TypeScript share.

([(function_declaration name: (_) @name body: (_) @body) (generator_function_declaration name: (_) @name body: (_) @body)]
 @function)
(class_declaration name: (_) @name body: (_) @body) @class
(method_definition name: (_) @name body: (_) @body) @method

; Functions, classes and objects that are bound to a name
([(lexical_declaration (_ name: (identifier) @name
    value: [(arrow_function body: (_) @body) (function_expression body: (_) @body) (generator_function body: (_) @body)]))
  (variable_declaration (_ name: (identifier) @name
    value: [(arrow_function body: (_) @body) (function_expression body: (_) @body) (generator_function body: (_) @body)]))]
 @function)
(lexical_declaration (_ name: (identifier) @name value: (class body: (_) @body))) @class
(lexical_declaration (_ name: (identifier) @name value: (object) @body)) @variable
(variable_declaration (_ name: (identifier) @name value: (object) @body)) @variable
([(lexical_declaration (_ name: (identifier) @name))
  (variable_declaration (_ name: (identifier) @name))]
 @variable)
(pair key: (property_identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @method

; Prototype.method = function, exports.name = function, this.field = value
((assignment_expression
   left: (_
     object: (_ object: (_) @container property: (_) @prototype) property: (_) @name)
   right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @method
 (#eq? @prototype "prototype"))
(assignment_expression
  left: (_ object: [(identifier) @container (member_expression)] property: (_) @name)
  right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @function
(assignment_expression left: (_ object: (this) property: (_) @name)) @field

(export_statement declaration: (_) @wrapped) @wrapper
(decorator) @decorator

(import_statement source: (_) @module) @import
(export_statement source: (_) @module) @import
(import_clause (identifier) @imported)
(import_specifier name: (_) @imported)
(export_specifier name: (_) @imported)
((variable_declarator
   name: [(identifier) (object_pattern [(shorthand_property_identifier_pattern) @imported (pair_pattern key: (_) @imported)])]
   value: (call_expression function: (identifier) @require arguments: (arguments . (string) @module))) @import
 (#eq? @require "require"))
