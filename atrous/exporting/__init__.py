"""A trained network as a file that runs without this package: preprocessing, network and answers in one graph.

`pipeline.py` puts the graph together, `program.py` exports it for inputs of any size, one file per format writes it
(`onnx_file.py`, `openvino_file.py`, `torch_file.py`, `bioimageio_file.py`), `runtimes.py` runs what was written, and
`proof.py` compares that with the network itself. `facts.py` says what stands in a file's metadata.
"""
