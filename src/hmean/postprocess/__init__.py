"""From probability maps to text polygons."""
