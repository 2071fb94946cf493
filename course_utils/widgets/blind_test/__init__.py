"""Blind-test panel: a person or a model wrote this text?"""
