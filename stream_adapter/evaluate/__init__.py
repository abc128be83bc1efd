"""The field's protocols on image folders, manifests and feature files: is it better than X on my data?"""
