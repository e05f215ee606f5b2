(function_declaration name: (_) @name body: (_) @body) @function
(function_declaration name: (_) @name) @function
(method_declaration
  receiver: (parameter_list (parameter_declaration
    type: [(type_identifier) @container
           (generic_type type: (type_identifier) @container)
           (pointer_type (type_identifier) @container)
           (pointer_type (generic_type type: (type_identifier) @container))]))
  name: (_) @name body: (_) @body) @method
(type_spec name: (_) @name type: (struct_type (field_declaration_list) @body)) @class
(type_spec name: (_) @name type: (interface_type "{" @body)) @interface
(type_spec name: (_) @name) @type
(type_alias name: (_) @name) @type
(field_declaration name: (_) @name) @field
(method_elem name: (_) @name) @method
(const_spec name: (identifier) @name) @constant
(var_spec name: (identifier) @name) @variable

; One in its declaration is all of it
(type_declaration . (_) @wrapped .) @wrapper
(const_declaration . (_) @wrapped .) @wrapper
(var_declaration . (_) @wrapped .) @wrapper

(import_spec path: (_) @module) @import
