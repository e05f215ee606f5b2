; A prototype is a definition without a body: a header has nothing else. Declarators nest; two levels of pointers are read.

(function_definition
  declarator: [(function_declarator declarator: (identifier) @name)
               (pointer_declarator declarator: (function_declarator declarator: (identifier) @name))
               (pointer_declarator declarator:
                 (pointer_declarator declarator: (function_declarator declarator: (identifier) @name)))]
  body: (_) @body) @function
(declaration
  declarator: [(function_declarator declarator: (identifier) @name)
               (pointer_declarator declarator: (function_declarator declarator: (identifier) @name))
               (pointer_declarator declarator:
                 (pointer_declarator declarator: (function_declarator declarator: (identifier) @name)))]) @function

(type_definition type: [(struct_specifier body: (_) @body) (union_specifier body: (_) @body)]
  declarator: (type_identifier) @name) @class
(type_definition type: (enum_specifier body: (_) @body) declarator: (type_identifier) @name) @enum
(type_definition
  declarator: [(type_identifier) @name
               (pointer_declarator declarator: (type_identifier) @name)
               (function_declarator declarator:
                 (parenthesized_declarator (pointer_declarator declarator: (type_identifier) @name)))]) @type
(struct_specifier name: (type_identifier) @name body: (_) @body) @class
(union_specifier name: (type_identifier) @name body: (_) @body) @class
(enum_specifier name: (type_identifier) @name body: (_) @body) @enum
(enumerator name: (_) @name) @constant
(field_declaration
  declarator: [(field_identifier) @name
               (array_declarator declarator: (field_identifier) @name)
               (pointer_declarator declarator: [(field_identifier) @name (pointer_declarator declarator: (field_identifier) @name)])
               (function_declarator declarator:
                 (parenthesized_declarator (pointer_declarator declarator: (field_identifier) @name)))]) @field
(declaration
  declarator: [(identifier) @name
               (array_declarator declarator: (identifier) @name)
               (pointer_declarator declarator: [(identifier) @name (array_declarator declarator: (identifier) @name)])
               (init_declarator declarator: [(identifier) @name
                                             (array_declarator declarator: (identifier) @name)
                                             (pointer_declarator declarator:
                                               [(identifier) @name (array_declarator declarator: (identifier) @name)])])])
 @variable

; A macro without a value is an include guard or a flag
(preproc_def name: (_) @name value: (_)) @macro
(preproc_function_def name: (_) @name) @macro
(preproc_include path: (_) @module) @import
