"""Media: FILES, and nothing about what they are attached to.

Owns: the streaming multipart parser, the judgement of a file by its content, the way of its bytes
into the object store, the rows of files, and the signed links that show them.
Promises: a file is stored only with the SHA-256 of the bytes that went in and the size the store
reported; memory is bounded whatever is sent; what failed leaves no object behind on purpose.
Never: knows an incident, uses a client's name as a key, holds a database connection or a temporary
file while bytes flow.
"""
