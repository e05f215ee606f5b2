(namespace_definition name: (_) @name body: (_) @body) @module
(namespace_definition name: (_) @name) @module
(class_declaration name: (_) @name body: (_) @body) @class
(trait_declaration name: (_) @name body: (_) @body) @class
(interface_declaration name: (_) @name body: (_) @body) @interface
(enum_declaration name: (_) @name body: (_) @body) @enum
(enum_case name: (_) @name) @constant
(function_definition name: (_) @name body: (_) @body) @function
(method_declaration name: (_) @name body: (_) @body) @method
(method_declaration name: (_) @name) @method
(property_declaration (property_element name: (variable_name (name) @name))) @field
(property_promotion_parameter name: (variable_name (name) @name)) @field
(const_declaration (const_element . (name) @name)) @constant
((function_call_expression function: (name) @define arguments: (arguments . (argument (string (_) @name)))) @constant
 (#eq? @define "define"))
(program (expression_statement (assignment_expression left: (variable_name (name) @name)) @variable))

(attribute_list) @decorator

(namespace_use_declaration (namespace_use_clause (qualified_name prefix: (_) @module (name) @imported))) @import
(namespace_use_declaration (namespace_name) @module body: (namespace_use_group (namespace_use_clause . (name) @imported)))
  @import
(namespace_use_declaration (namespace_use_clause . (name) @module)) @import
([(require_once_expression (string) @module) (require_expression (string) @module)
  (include_once_expression (string) @module) (include_expression (string) @module)] @import)
