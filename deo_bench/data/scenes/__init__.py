"""The embedded benchmark: Sentinel-2-like scenes made from published reflectance, by numpy alone.

`spectra` holds the reflectance, `layout` the parcels, `render` makes one scene, `write` the benchmark, `source` is the
pre-training data.
"""
