(class_declaration name: (_) @name body: (_) @body) @class
(record_declaration name: (_) @name body: (_) @body) @class
(interface_declaration name: (_) @name body: (_) @body) @interface
(annotation_type_declaration name: (_) @name body: (_) @body) @interface
(enum_declaration name: (_) @name body: (_) @body) @enum
(enum_constant name: (_) @name body: (_) @body) @constant
(enum_constant name: (_) @name) @constant
(method_declaration name: (_) @name body: (_) @body) @method
(method_declaration name: (_) @name) @method
(annotation_type_element_declaration name: (_) @name) @method
(constructor_declaration name: (_) @name body: (_) @body) @method
(compact_constructor_declaration name: (_) @name body: (_) @body) @method
(field_declaration declarator: (variable_declarator name: (identifier) @name)) @field
(constant_declaration declarator: (variable_declarator name: (identifier) @name)) @constant

(marker_annotation) @decorator
(annotation) @decorator

(import_declaration (scoped_identifier scope: (_) @module name: (_) @imported) .) @import
(import_declaration (_) @module (asterisk)) @import
