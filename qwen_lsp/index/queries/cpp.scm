; Read after c.scm: what C++ adds.

(class_specifier name: [(type_identifier) @name (template_type name: (_) @name) (qualified_identifier name: (_) @name)]
  body: (_) @body) @class
(struct_specifier name: [(template_type name: (_) @name) (qualified_identifier name: (_) @name)] body: (_) @body) @class
(namespace_definition name: (_) @name body: (_) @body) @module
(alias_declaration name: (_) @name) @type
(concept_definition name: (_) @name) @type

; In a class, and outside of it with a qualified name
(function_definition
  declarator: [(function_declarator declarator: [(field_identifier) (destructor_name) (operator_name)] @name)
               (pointer_declarator declarator: (function_declarator declarator: (field_identifier) @name))
               (reference_declarator (function_declarator declarator: [(identifier) (field_identifier) (operator_name)] @name))
               (operator_cast) @name]
  body: (_)? @body) @method
(function_definition declarator: (function_declarator declarator:
    (qualified_identifier name: (qualified_identifier scope: (_) @container name: (_) @name)))
  body: (_)? @body) @method
(function_definition
  declarator: [(function_declarator declarator: (qualified_identifier scope: (_) @container
                 name: [(identifier) (destructor_name) (operator_name) (template_function)] @name))
               (pointer_declarator declarator:
                 (function_declarator declarator: (qualified_identifier scope: (_) @container name: (_) @name)))
               (reference_declarator
                 (function_declarator declarator: (qualified_identifier scope: (_) @container name: (_) @name)))]
  body: (_)? @body) @method
(field_declaration
  declarator: [(function_declarator declarator: [(field_identifier) (destructor_name) (operator_name)] @name)
               (pointer_declarator declarator: (function_declarator declarator: (field_identifier) @name))
               (reference_declarator (function_declarator declarator: [(field_identifier) (operator_name)] @name))]) @method
(declaration
  declarator: [(function_declarator declarator: [(destructor_name) (operator_name)] @name)
               (reference_declarator (function_declarator declarator: [(identifier) (operator_name)] @name))]) @function
(field_declaration declarator: (reference_declarator (field_identifier) @name)) @field

(template_declaration [(class_specifier) (struct_specifier) (function_definition) (declaration) (alias_declaration)
                       (concept_definition) (template_declaration)] @wrapped) @wrapper
(attribute_declaration) @decorator
(using_declaration (qualified_identifier scope: (_) @module name: (_) @imported)) @import
