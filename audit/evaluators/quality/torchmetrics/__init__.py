"""Any metric of torchmetrics, by its name."""
