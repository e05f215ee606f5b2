(class_declaration "interface" name: (_) @name (class_body)? @body) @interface
(class_declaration name: (_) @name (enum_class_body) @body) @enum
(class_declaration name: (_) @name (class_body) @body) @class
(class_declaration name: (_) @name) @class
(object_declaration name: (_) @name (class_body) @body) @class
(object_declaration name: (_) @name) @class
(companion_object name: (_) @name (class_body) @body) @class
(enum_entry (identifier) @name) @constant
(function_declaration name: (_) @name (function_body) @body) @function
(function_declaration name: (_) @name) @function
(property_declaration (variable_declaration (identifier) @name)) @variable
(primary_constructor (class_parameters (class_parameter ["val" "var"] (identifier) @name) @field))
(type_alias type: (_) @name) @type

(annotation) @decorator
(import (qualified_identifier) @module) @import
