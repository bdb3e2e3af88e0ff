"""The embedded benchmark: Sentinel-2-like scenes made from published reflectance, by numpy alone.

`spectra` holds the reflectance, `layout` the parcels, `ground` what grows on them, `render` makes one scene, `land` its
label for every pixel, `write` the benchmark; `pairs` makes two dates of one ground, `change` the task of them; `source`
is the pre-training data.
"""
