(class_declaration declaration_kind: "extension" name: (user_type . (type_identifier) @name) body: (_) @body) @extension
(class_declaration declaration_kind: "enum" name: (_) @name body: (_) @body) @enum
(class_declaration name: (type_identifier) @name body: (_) @body) @class
(protocol_declaration name: (_) @name body: (_) @body) @interface
(enum_entry name: (simple_identifier) @name) @constant
(function_declaration name: (simple_identifier) @name body: (_) @body) @function
(protocol_function_declaration name: (simple_identifier) @name) @method
(init_declaration name: _ @name body: (_) @body) @method
(deinit_declaration "deinit" @name body: (_) @body) @method
(property_declaration name: (pattern bound_identifier: (_) @name) computed_value: (_) @body) @variable
(property_declaration name: (pattern bound_identifier: (_) @name)) @variable
(protocol_property_declaration name: (pattern bound_identifier: (_) @name)) @field
(typealias_declaration name: (type_identifier) @name) @type
(associatedtype_declaration name: (type_identifier) @name) @type

(attribute) @decorator
(import_declaration (identifier) @module) @import
