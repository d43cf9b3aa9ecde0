"""The web server: the detection service and the studio."""
