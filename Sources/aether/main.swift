import ArgumentParser
import AsyncHTTPClient
import Configuration
print("aether")
