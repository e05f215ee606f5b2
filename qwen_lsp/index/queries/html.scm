((attribute (attribute_name) @id (quoted_attribute_value (attribute_value) @name)) @key (#eq? @id "id"))
((element (start_tag (tag_name) @heading) . (text) @name) @section (#match? @heading "^[hH][1-6]$"))

((element (start_tag (tag_name) @tag (attribute (attribute_name) @source (quoted_attribute_value (attribute_value) @module)))) @import
 (#eq? @tag "link") (#eq? @source "href"))
((script_element (start_tag (attribute (attribute_name) @source (quoted_attribute_value (attribute_value) @module)))) @import
 (#eq? @source "src"))
