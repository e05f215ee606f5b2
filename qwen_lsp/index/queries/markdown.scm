; A section ends where a heading of its own level or a higher one begins; headings that are underlined have no section
(section . (atx_heading heading_content: (_) @name) . (_) @body) @section
(section . (atx_heading heading_content: (_) @name)) @section
(setext_heading heading_content: (_) @name) @section
